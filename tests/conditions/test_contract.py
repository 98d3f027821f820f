"""What holds for every kind of condition: from a data set and from a user to tokens."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from smalti.conditions import CONDITIONS, Condition, ConditionConfig, Setup
from smalti.conditions.conditioning import Conditioning
from smalti.conditions.opening import RunConditions
from smalti.content import RGBContent
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.loader import BatchLoader
from smalti.data.sources import open_source
from smalti.tokenizer.load import load_tokenizer
from smalti.types import Batch, Window

IMAGES, HEIGHT, WIDTH, FACTOR = 6, 20, 24, 4  # of the scenes and tokenizers in conftest.py
SIDE = 16
"""Of the prior's window, in pixels; pictures are larger."""
CELLS = SIDE // FACTOR
WHOLE = Window(0, 0, CELLS, CELLS, CELLS, CELLS)
TASKS = Path(__file__).resolve().parents[2] / "docs" / "tasks.md"


@dataclass(frozen=True)
class Made:
    """A condition as a run makes it, and the data set that it was made for."""

    condition: Condition[Any]
    crops: Batch
    """Of the window's size."""
    pictures: Batch
    """Whole pictures."""


@pytest.fixture(params=list(CONDITIONS))
def made(request, data, tokenizers) -> Made:
    kind = request.param
    content_kind = CONDITIONS[kind].content_kind
    needed = {} if content_kind is None else {kind: load_tokenizer(tokenizers / content_kind)}
    conditions = RunConditions([kind], needed)
    setup = Setup(SIDE, SIDE, cell_px=FACTOR, low_resolution_factor=FACTOR)

    def open_data(size: tuple[int, int]) -> ImageDataset:
        source = open_source(str(data), conditions.need_classes)
        transform = TransformConfig(size=size, resize_px="keep", flip=False)
        return ImageDataset([source], transform, 0, None, RGBContent(), conditions.pairs(setup))

    crops, pictures = open_data((SIDE, SIDE)), open_data((HEIGHT, WIDTH))
    (config,) = conditions.configs(setup, crops)
    batches = (
        next(BatchLoader(dataset, IMAGES, 0, 0).evaluation_batches())
        for dataset in (crops, pictures)
    )
    return Made(CONDITIONS[kind](config, needed.get(kind)), *batches)


def codes_of(condition: Condition[Any], batch: Batch) -> torch.Tensor:
    conditioning = Conditioning([condition])
    return conditioning.encode(conditioning.batch_values(batch))[condition.kind]


def test_kind_goes_by_its_name(made):
    assert CONDITIONS[made.condition.kind] is type(made.condition)
    assert made.condition.config.kind == made.condition.kind


def test_config_survives_json(made):
    adapter = TypeAdapter(ConditionConfig)
    config = adapter.validate_json(adapter.dump_json(made.condition.config))
    assert config == made.condition.config
    assert type(config) is type(made.condition.config)


def test_tokens_are_of_the_length_and_inside_the_vocabulary(made):
    condition = made.condition
    whole, canvas = codes_of(condition, made.crops), codes_of(condition, made.pictures)
    moved = Window(1, 2, CELLS, CELLS, HEIGHT // FACTOR, WIDTH // FACTOR)
    for codes in (condition.at(whole, WHOLE), condition.at(canvas, moved)):
        tokens = condition.tokens(codes)
        assert tokens.shape == (IMAGES, condition.length)
        assert tokens.dtype == torch.int64
        last = condition.vocab_size - (0 if condition.kind == "none" else 1)
        assert tokens.min() >= 0
        assert tokens.max() < last  # so none is mistaken for the dropped condition


def test_dropped_condition_is_the_last_value(made):
    tokens = made.condition.null_tokens(3)
    assert tokens.shape == (3, made.condition.length)
    assert (tokens == made.condition.vocab_size - 1).all()


def test_blank_codes_have_the_form_of_codes(made):
    codes, blank = codes_of(made.condition, made.crops), made.condition.blank(IMAGES)
    assert (blank.shape, blank.dtype) == (codes.shape, codes.dtype)
    assert not blank.any()
    made.condition.tokens(made.condition.at(blank, WHOLE))


def test_user_gets_the_values_that_the_data_set_has(made, asked):
    conditioning, kind = Conditioning([made.condition]), made.condition.kind
    expected = conditioning.batch_values(made.pictures)[kind]
    for number, key in enumerate(made.pictures.keys):
        scene = int(Path(key).stem)
        values = conditioning.values(asked(kind, scene), 1)
        assert conditioning.picture_size(values) in (None, (HEIGHT, WIDTH))
        values |= conditioning.size_values(1, (HEIGHT, WIDTH))
        assert torch.equal(values[kind], expected[number : number + 1])


def test_images_take_what_a_user_gives_in_turn(made, asked):
    condition = made.condition
    if not condition.is_asked:
        return
    items = [asked(condition.kind, scene) for scene in (0, 1)]
    single = [condition.values(item, 1) for item in items]
    assert torch.equal(condition.values(items, 3), torch.cat([*single, single[0]]))


def test_kind_without_a_default_must_be_asked_for(made):
    if made.condition.has_default:
        assert len(made.condition.values(None, 2, (HEIGHT, WIDTH))) == 2
    else:
        with pytest.raises(ValueError, match=f"needs the condition {made.condition.kind}"):
            made.condition.values(None, 2)


def test_pictures_are_as_large_as_the_window(made):
    pictures = made.condition.pictures(codes_of(made.condition, made.crops))
    assert len(pictures) in (0, IMAGES)
    assert {(picture.size, picture.mode) for picture in pictures} <= {((SIDE, SIDE), "RGB")}


def test_docs_say_the_form_of_values_and_codes(made):
    """Number of dimensions and dtype; the range is for people."""
    kind, text = made.condition.kind, TASKS.read_text(encoding="utf-8")
    (row,) = re.findall(rf"(?m)^\| `{kind}` \|(.*)\|$", text.partition("## The form of")[2])
    values = Conditioning([made.condition]).batch_values(made.crops)[kind]
    for cell, tensor in zip(
        row.split("|"), (values, codes_of(made.condition, made.crops)), strict=False
    ):
        shape, dtype = re.search(r"\(([^)]*)\) (\w+)", cell).groups()
        assert (len(shape.split(",")), f"torch.{dtype}") == (tensor.ndim, str(tensor.dtype))

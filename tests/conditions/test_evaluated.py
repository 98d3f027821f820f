"""Evaluation of priors of each condition: samples have the conditions of the data set's images."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from helpers.colours import Colours
from smalti.cli.main import main
from smalti.conditions import CONDITIONS, Setup
from smalti.conditions.opening import RunConditions
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.order import order
from smalti.data.sources import open_source
from smalti.evaluation.extractors import EXTRACTORS
from smalti.prior.build import build_prior
from smalti.prior.gpt.config import GPT2Config
from smalti.runs.prior_evaluation import PriorEvaluation
from smalti.runs.prior_images import PriorImages
from smalti.sampling.config import SamplingConfig
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.tokenizer.load import load_tokenizer

IMAGES, HEIGHT, WIDTH, FACTOR = 6, 20, 24, 4  # of the scenes and tokenizers in conftest.py
SEED = 3
SAMPLING = SamplingConfig(temperature=0.7)
KINDS = [kind for kind in CONDITIONS if kind != "none"]
IN_FILES = [kind for kind in KINDS if CONDITIONS[kind].files or CONDITIONS[kind].needs_classes]


def pipeline_of(kind: str, data: Path, tokenizers: Path) -> Pipeline:
    """An untrained prior that looks at its condition; its window is a whole picture."""
    of_images = load_tokenizer(tokenizers / "rgb")
    content = CONDITIONS[kind].content_kind
    needed = {} if content is None else {kind: load_tokenizer(tokenizers / content)}
    conditions = RunConditions([kind], needed)
    setup = Setup(HEIGHT, WIDTH, cell_px=FACTOR, low_resolution_factor=FACTOR)
    source = open_source(str(data), conditions.need_classes)
    transform = TransformConfig(size=(HEIGHT, WIDTH))
    dataset = ImageDataset([source], transform, 0, paired=conditions.pairs(setup))
    config = PriorModelConfig(
        prior=GPT2Config(layers=1, heads=2, width=16, dropout=0),
        vocab_size=1200,
        max_length=80,
        codebook_size=16,
        conditioners=conditions.configs(setup, dataset),
        grid_height=HEIGHT // FACTOR,
        grid_width=WIDTH // FACTOR,
    )
    prior = build_prior(config.prior, config.sizes)
    for name, weight in prior.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(weight, std=0.5)
    return Pipeline(of_images, prior.eval(), config, needed)


def evaluation_of(pipeline: Pipeline, data: Path, batch_size: int = 4) -> PriorEvaluation:
    images = PriorImages(pipeline, [str(data)], TransformConfig())
    return PriorEvaluation(
        pipeline, images, Colours.load(None), SAMPLING, SEED, batch_size, is_reference=True
    )


@pytest.mark.parametrize("kind", KINDS)
def test_sample_i_is_what_sample_draws_with_the_condition_of_its_image(
    kind, data, tokenizers, asked
):
    """Each image gives its condition once a round, also where there are more samples."""
    pipeline = pipeline_of(kind, data, tokenizers)
    evaluation = evaluation_of(pipeline, data)
    keys = [evaluation.images.load(number).key for number in range(IMAGES)]
    turns = [number for turn in (0, 1) for number in order(SEED, turn, IMAGES)]
    items = [asked(kind, int(Path(keys[number]).stem)) for number in turns]
    request = pipeline.request(2 * IMAGES, items if items[0] is not None else None)
    expected = pipeline.sample_codes(request, SEED, config=SAMPLING, progress=False)
    drawn = [evaluation.sample([number], 2 * IMAGES)["codes"] for number in range(2 * IMAGES)]
    assert torch.equal(torch.cat(drawn).long(), expected.flatten(1))
    in_batches = evaluation_of(pipeline, data, batch_size=5).sample(range(7, 12), 12)["codes"]
    assert torch.equal(in_batches, torch.cat(drawn[7:]))


def test_images_do_not_depend_on_how_many_are_drawn_together(data, tokenizers, monkeypatch):
    """Although networks round otherwise in larger batches, here by much."""
    pipeline = pipeline_of("class", data, tokenizers)
    decode = pipeline.decode
    monkeypatch.setattr(pipeline, "decode", lambda codes: decode(codes) + 0.1 * len(codes))
    found = [
        evaluation_of(pipeline, data, batch_size).sample(range(4), 4)["features"]
        for batch_size in (1, 4)
    ]
    torch.testing.assert_close(*found)


def test_parts_of_samples_with_maps_give_the_figures_of_all(
    data, tokenizers, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(EXTRACTORS._classes, "efficientnet", Colours)
    pipeline_of("segmentation", data, tokenizers).save_pretrained("model")
    command = ["evaluate", "model", "--data", str(data), "-n", "9"]
    assert main(command) == 0
    assert main([*command, "--images", "0:4", "--batch-size", "3"]) == 0
    assert main([*command, "--images", "4:9", "--out", "rest.safetensors"]) == 0
    parts = ["--join", "evaluation-0-4.safetensors", "rest.safetensors"]
    assert main([*command, *parts, "--out", "joined.json"]) == 0
    whole, joined = (
        json.loads(Path(name).read_text(encoding="utf-8"))
        for name in ("evaluation.json", "joined.json")
    )
    for name, figure in whole["figures"].items():
        assert joined["figures"][name]["value"] == pytest.approx(figure["value"], rel=1e-6)
    assert whole["protocol"]["sampling"]["conditions"] == ["segmentation"]
    assert "center crops" in whole["protocol"]["sampling"]["conditions_from"]


@pytest.mark.parametrize("kind", IN_FILES)
def test_data_without_the_condition_is_refused_in_one_line(
    kind, data, tokenizers, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    pipeline_of(kind, data, tokenizers).save_pretrained("model")
    shutil.copytree(data / "images" / "day", "bare")
    assert main(["evaluate", "model", "--data", "bare", "-n", "9"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"this prior knows the condition {kind}" in line
    assert {path.name for path in tmp_path.iterdir()} == {"model", "bare"}

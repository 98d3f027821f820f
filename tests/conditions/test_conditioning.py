from dataclasses import replace

import pytest
import torch

from smalti.conditions.class_label import ClassLabel, ClassLabelConfig
from smalti.conditions.conditioning import Conditioning
from smalti.conditions.maps import Segmentation, SegmentationConfig
from smalti.config import InputError
from smalti.content import LabelsContent
from smalti.types import Batch, Window

CLASS_VALUES = 4  # three classes, and none of them


@pytest.fixture
def conditioning() -> Conditioning:
    maps = SegmentationConfig(
        content=LabelsContent(classes=4), codebook_size=9, grid_height=2, grid_width=3
    )
    return Conditioning(
        [ClassLabel(ClassLabelConfig(class_names=("a", "b", "c"))), Segmentation(maps)]
    )


@pytest.fixture
def codes(generator) -> dict[str, torch.Tensor]:
    maps = torch.randint(9, (5, 2, 3), generator=generator)
    return {"segmentation": maps, "class": torch.tensor([2, 0, 1, 0, 2])}


def test_conditions_stand_in_order_in_segments_of_their_own(conditioning, codes):
    tokens = conditioning.tokens(codes)
    assert (conditioning.length, conditioning.vocab_size) == (7, CLASS_VALUES + 10)
    assert torch.equal(tokens[:, 0], codes["class"])
    assert torch.equal(tokens[:, 1:], CLASS_VALUES + codes["segmentation"].flatten(1))


def test_dropped_conditions_are_null_and_the_others_stay(conditioning, codes):
    kept = torch.tensor([[True, True], [True, False], [False, True], [False, False], [True, True]])
    tokens, whole = conditioning.tokens(codes, kept), conditioning.tokens(codes)
    assert torch.equal(tokens[:, 0], torch.where(kept[:, 0], whole[:, 0], 3))
    assert torch.equal(tokens[:, 1:], torch.where(kept[:, 1:], whole[:, 1:], CLASS_VALUES + 9))


def test_window_cuts_each_condition(conditioning, generator):
    canvas = torch.randint(9, (1, 4, 5), generator=generator)
    found = conditioning.at(
        {"class": torch.tensor([1]), "segmentation": canvas}, Window(1, 2, 2, 3, 4, 5)
    )
    assert found["class"].tolist() == [1]
    assert torch.equal(found["segmentation"], canvas[:, 1:3, 2:5])


def test_missing_condition_is_named(conditioning):
    with pytest.raises(InputError, match="the condition 'segmentation' is missing"):
        conditioning.encode({"class": torch.tensor([0])})


def test_values_of_a_batch_are_its_classes_and_what_it_was_paired_with(conditioning):
    maps = torch.zeros(2, 8, 8, dtype=torch.int64)
    labels = torch.tensor([1, 0])
    batch = Batch(["a", "b"], torch.zeros(2, 3, 8, 8), labels, {"segmentation": maps})
    assert conditioning.batch_values(batch) == {"class": labels, "segmentation": maps}
    assert conditioning.batch_values(replace(batch, conditions={})) == {"class": labels}

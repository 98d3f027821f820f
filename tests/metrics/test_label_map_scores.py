import pytest
import torch

from smalti.content import IGNORED
from smalti.metrics.label_map import LabelMapScores


def test_scores_are_those_of_all_maps_together():
    scores = LabelMapScores(4)
    scores.add(torch.tensor([[[0, 0, 1, 1]]]), torch.tensor([[[0, 1, 1, 1]]]))
    scores.add(torch.tensor([[[0, 2, 2, 2]]]), torch.tensor([[[0, 2, 2, 0]]]))
    # Class 0: 2 of 4; class 1: 2 of 3; class 2: 2 of 3; class 3 is in neither.
    assert scores.pixel_accuracy == pytest.approx(6 / 8)
    assert scores.mean_iou == pytest.approx((2 / 4 + 2 / 3 + 2 / 3) / 3)


def test_ignored_pixels_do_not_count():
    scores = LabelMapScores(2)
    scores.add(torch.tensor([[[0, 1, IGNORED]]]), torch.tensor([[[0, 1, 0]]]))
    assert scores.pixel_accuracy == 1
    assert scores.mean_iou == 1


def test_a_class_that_is_only_reconstructed_counts_as_wrong():
    scores = LabelMapScores(3)
    scores.add(torch.tensor([[[0, 0]]]), torch.tensor([[[0, 1]]]))
    assert scores.mean_iou == pytest.approx((1 / 2 + 0) / 2)

"""Scores of reconstructions, by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor

from smalti.content import ContentConfig, EdgesContent, RGBContent
from smalti.evaluation.measures import Reconstructed
from smalti.losses.perceptual import PerceptualLoss
from smalti.training.vqgan.config import VQGANLossConfig
from smalti.training.vqgan.held_out import loss_measures, score


class Always(PerceptualLoss):
    """A perceptual loss of 0.4 for every image."""

    name, smallest_px = "always", 1

    def distance(self, images: Tensor, reconstructions: Tensor) -> Tensor:
        return torch.full((len(images),), 0.4)


def scores_of(*errors: float, content: ContentConfig | None = None, **loss: Any) -> dict:
    """Of grey images, one a batch, whose reconstructions are off by so much."""
    config = VQGANLossConfig(**loss)
    content = content or RGBContent()
    measures = loss_measures(content, config, Always())
    for error in errors:
        images = torch.zeros(1, content.channels, 16, 16)
        for measure in measures:
            measure.add(Reconstructed(images, images + error))
    values = {figure.name: figure.value for one in measures for figure in one.figures()}
    return values | {"score": score(values, config)}


def test_score_is_the_reconstruction_loss_with_its_weights():
    found = scores_of(0.1, 0.3, pixel_weight=0.5, perceptual_weight=3.0)
    assert found["pixel_loss"] == pytest.approx(0.2)
    assert found["perceptual_loss"] == pytest.approx(0.4)
    assert found["score"] == pytest.approx(0.5 * 0.2 + 3 * 0.4)


def test_pixel_loss_is_the_one_asked_for():
    assert scores_of(0.1, 0.3, pixel="l2")["pixel_loss"] == pytest.approx((0.01 + 0.09) / 2)


def test_psnr_is_the_mean_over_images():
    """20 log10 of 2 / 0.2 and of 2 / 0.02, between -1 and 1."""
    assert scores_of(0.2, 0.02)["psnr_db"] == pytest.approx((20 + 40) / 2)


def test_maps_are_not_compared_as_photographs():
    found = scores_of(0.3, content=EdgesContent(), perceptual_weight=3.0)
    assert "perceptual_loss" not in found
    assert found["score"] == pytest.approx(found["pixel_loss"])

"""The scores of stage 1: how well the tokenizer reconstructs held-out images during training."""

from collections.abc import Mapping

from torch import Tensor

from smalti.content import ContentConfig
from smalti.evaluation.measures import (
    Average,
    Comparison,
    LabelMapMeasure,
    Measure,
    Reconstructed,
    compared,
    psnr_measure,
)
from smalti.losses.perceptual import PerceptualLoss
from smalti.losses.reconstruction import PIXEL_LOSSES
from smalti.metrics.reconstruction import ssim
from smalti.training.vqgan.config import VQGANLossConfig


def loss_measures(
    content: ContentConfig, loss: VQGANLossConfig, perceptual: PerceptualLoss
) -> list[Measure]:
    """Make measures of the losses of stage 1, and of the metrics of a content.

    Photographs have PSNR and SSIM, depth maps and edges PSNR, label maps pixel accuracy and mean
    IoU.
    """
    pixel_loss = PIXEL_LOSSES[loss.pixel]
    if content.kind == "labels":

        def cross_entropy(batch: Reconstructed) -> Tensor:
            assert batch.outputs is not None, "label maps are compared as logits"
            return pixel_loss(batch.images, batch.outputs)

        return [_mean("pixel_loss", cross_entropy), LabelMapMeasure(content.classes)]
    measures = [_mean("pixel_loss", compared(pixel_loss)), psnr_measure()]
    if content.kind == "rgb":
        measures += [_mean("perceptual_loss", compared(perceptual)), _mean("ssim", compared(ssim))]
    return [*measures]


def _mean(name: str, compare: Comparison) -> Average:
    return Average(name, name, compare, "{:.4g}")


def score(values: Mapping[str, float], loss: VQGANLossConfig) -> float:
    """The reconstruction loss from the means of its terms by name; lower is better."""
    weighted = loss.pixel_weight * values["pixel_loss"]
    return weighted + loss.perceptual_weight * values.get("perceptual_loss", 0.0)

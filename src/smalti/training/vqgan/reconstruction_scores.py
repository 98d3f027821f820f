"""How well a tokenizer reconstructs images, by what its images are.

Axes: B batch, C channels of the network, H/W image size in pixels.
"""

import torch
from torch import Tensor

from smalti.content import ContentConfig
from smalti.losses.perceptual import PerceptualLoss
from smalti.losses.reconstruction import PIXEL_LOSSES
from smalti.metrics.label_map import LabelMapScores
from smalti.metrics.reconstruction import psnr, ssim
from smalti.training.vqgan.config import VQGANLossConfig


class ReconstructionScores:
    """Means over any number of batches: of the losses, and of what tells most of a content.

    Photographs have PSNR and SSIM, depth maps and edges PSNR, label maps pixel accuracy and mean
    IoU.

    Args:
        content: what the images are.
        loss: kind and weights of the losses, resolved.
        perceptual: the perceptual loss.
    """

    def __init__(
        self, content: ContentConfig, loss: VQGANLossConfig, perceptual: PerceptualLoss
    ) -> None:
        self._content, self._loss, self._perceptual = content, loss, perceptual
        self._rows: list[dict[str, Tensor]] = []
        self._maps = LabelMapScores(content.classes) if content.kind == "labels" else None

    def add(self, images: Tensor, outputs: Tensor) -> None:
        """Compare images, as the content says, with the decoder's outputs (B, C, H, W)."""
        reconstructions = self._content.to_images(outputs)
        pixel_loss = PIXEL_LOSSES[self._loss.pixel]
        if self._maps is not None:
            self._maps.add(images, reconstructions)
            self._rows.append({"pixel_loss": pixel_loss(images, outputs)})
            return
        row = {
            "pixel_loss": pixel_loss(images, reconstructions),
            "psnr_db": psnr(images, reconstructions),
        }
        if self._content.kind == "rgb":
            row["perceptual_loss"] = self._perceptual(images, reconstructions)
            row["ssim"] = ssim(images, reconstructions)
        self._rows.append(row)

    def values(self) -> dict[str, float]:
        """The means by name, with `score`: the reconstruction loss, lower is better."""
        names = self._rows[0]
        means = {name: float(torch.cat([row[name] for row in self._rows]).mean()) for name in names}
        score = self._loss.pixel_weight * means["pixel_loss"]
        score += self._loss.perceptual_weight * means.get("perceptual_loss", 0.0)
        if self._maps is not None:
            means["pixel_accuracy"] = self._maps.pixel_accuracy
            means["mean_iou"] = self._maps.mean_iou
        return means | {"score": score}

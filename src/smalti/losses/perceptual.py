"""The perceptual loss: how different two images look to a network trained on photographs.

This is the abstract class; each network has a file beside it. No network has a layer that behaves
otherwise in training mode, and all weights are frozen.

Axes: B batch, C channels, H/W image size in pixels, h/w size of a feature map.
Reference: Esser et al. 2021, arXiv:2012.09841, Sec. 3.1, which takes it from Zhang et al. 2018,
arXiv:1801.03924.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from smalti.config import InputError
from smalti.losses.config import PerceptualConfig
from smalti.registry import Registry

# The root's gradient is infinite at 0; inside it, this keeps the gradient of a black patch finite.
NORM_EPSILON = 1e-10


class PerceptualLoss(nn.Module, ABC):
    """A distance between images, which is 0 for equal ones."""

    name: ClassVar[str]
    """Name of the network, which a run prints."""
    smallest_px: ClassVar[int]
    """Side in pixels of the smallest image that the network takes."""

    def forward(self, images: Tensor, reconstructions: Tensor) -> Tensor:
        """Compare each image with its reconstruction.

        Args:
            images: (B, 3, H, W) floating point in [-1, 1]; no gradient flows to them.
            reconstructions: the same shape, about the same range.

        Returns:
            (B,) float32 >= 0, computed in float32 also under autocast.

        Raises:
            InputError: the images are smaller than `smallest_px`.
        """
        assert images.shape == reconstructions.shape, (images.shape, reconstructions.shape)
        height, width = images.shape[-2:]
        if min(height, width) < self.smallest_px:
            raise InputError(
                f"the perceptual loss {self.name} needs images of at least "
                f"{self.smallest_px}x{self.smallest_px} pixels, got {height}x{width}"
            )
        with torch.autocast(images.device.type, enabled=False):
            return self.distance(images.detach().float(), reconstructions.float())

    @abstractmethod
    def distance(self, images: Tensor, reconstructions: Tensor) -> Tensor:
        """Distances (B,) float32 of float32 images that are large enough; see `forward`."""


PERCEPTUAL_LOSSES: Registry[PerceptualLoss] = Registry("perceptual loss")


@PERCEPTUAL_LOSSES.register("none")
class NoPerceptualLoss(PerceptualLoss):
    """A loss of 0, for pictures that no network trained on photographs understands."""

    name = "none"
    smallest_px = 1

    def __init__(self, config: PerceptualConfig) -> None:
        super().__init__()

    def forward(self, images: Tensor, reconstructions: Tensor) -> Tensor:
        """Zeros (B,) with a zero gradient; images and reconstructions may have any shape."""
        return self.distance(images, reconstructions)

    def distance(self, images: Tensor, reconstructions: Tensor) -> Tensor:
        """Zeros (B,) float32 for reconstructions (B, ...)."""
        return reconstructions.float().flatten(1).mean(1) * 0.0


def squared_differences(real: Sequence[Tensor], fake: Sequence[Tensor]) -> list[Tensor]:
    """Squared differences of features after each position's vector is scaled to length 1.

    Args:
        real: a stage's features (B, C, h, w) each, of the images.
        fake: the same of the reconstructions.

    Returns:
        (B, C, h, w) each, >= 0; over the channels they sum to at most 4.
    """
    return [
        (unit_length(real_stage) - unit_length(fake_stage)).square()
        for real_stage, fake_stage in zip(real, fake, strict=True)
    ]


def unit_length(features: Tensor) -> Tensor:
    """Features (B, C, h, w) with the vector at each position divided by its length."""
    return features * (features.square().sum(1, keepdim=True) + NORM_EPSILON).rsqrt()

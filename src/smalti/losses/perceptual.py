"""The perceptual loss: how different two images look to a network trained on photographs.

The seam and the choice are here; each network is one file beside it. None of them has a layer that
behaves otherwise in training mode, and all their weights are frozen.

Axes: B batch, C channels, H/W image size in pixels, h/w size of a feature map.
Reference: Esser et al. 2021, arXiv:2012.09841, Sec. 3.1, which takes it from Zhang et al. 2018,
arXiv:1801.03924.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from smalti.config import Config, InputError
from smalti.losses.vgg import find_vgg_weights
from smalti.paths import path_fields
from smalti.registry import Registry

# The root's gradient is infinite at 0; inside it, this keeps the gradient of a black patch finite.
NORM_EPSILON = 1e-10


class PerceptualConfig(Config):
    """Which network compares images with their reconstructions."""

    kind: Literal["auto", "lpips", "efficientnet", "efficientnet-logits", "none"] = "auto"
    """`lpips` as in the paper, `efficientnet` (installed with the package), `efficientnet-logits`
    (features and logits of the same network), `none`; `auto` is lpips where its VGG16 weights are
    at hand, else efficientnet; for maps, it is none."""
    logit_weight: float = Field(default=0.01, ge=0)
    """Weight of the logits' mean squared difference beside the feature distance. No effect with the
    kinds other than efficientnet-logits."""
    vgg_weights: Path | None = None
    """File with VGG16's weights for lpips (.pth of torchvision, .safetensors of timm). By default
    the environment variable SMALTI_VGG_WEIGHTS, then torch's download cache. No effect with the
    other kinds."""

    _path = path_fields("vgg_weights")

    def resolve(self) -> "PerceptualConfig":
        """The same with `auto` replaced by what it is on this machine.

        Raises:
            InputError: the weights' file is named and does not exist.
        """
        if self.kind != "auto":
            return self
        kind = "lpips" if find_vgg_weights(self.vgg_weights) else "efficientnet"
        return self.model_copy(update={"kind": kind})


class PerceptualLoss(nn.Module, ABC):
    """A distance between images; 0 for equal ones."""

    name: ClassVar[str]
    """The network, for people: a run says it."""
    smallest_px: ClassVar[int]
    """Side of the smallest image that the network can judge."""

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
    """Always 0: for pictures that no network trained on photographs understands."""

    name = "none"
    smallest_px = 1

    def __init__(self, config: PerceptualConfig) -> None:
        super().__init__()

    def forward(self, images: Tensor, reconstructions: Tensor) -> Tensor:
        """Zeros (B,) that still have a (zero) gradient; both may have any shape."""
        return self.distance(images, reconstructions)

    def distance(self, images: Tensor, reconstructions: Tensor) -> Tensor:
        """Zeros (B,) float32 of reconstructions (B, ...)."""
        return reconstructions.float().flatten(1).mean(1) * 0.0


def choose_perceptual(config: PerceptualConfig) -> PerceptualLoss:
    """Build the perceptual loss of a config, with trained weights; its `name` says which it is.

    Raises:
        InputError: lpips is asked for and VGG16's weights are not at hand, or a file is damaged.
    """
    return PERCEPTUAL_LOSSES[config.resolve().kind](config)


def squared_differences(real: Sequence[Tensor], fake: Sequence[Tensor]) -> list[Tensor]:
    """Squared differences of features, each position's vector first brought to length 1.

    Args:
        real: a stage's features (B, C, h, w) each, of the images.
        fake: those of the reconstructions.

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

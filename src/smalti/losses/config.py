"""Configs of the losses. Imports no torch."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from smalti.config import Config
from smalti.paths import path_fields

PixelKind = Literal["l1", "l2", "cross_entropy"]


class PerceptualConfig(Config):
    """Options of the perceptual loss: which network compares images with their reconstructions."""

    kind: Literal["auto", "lpips", "efficientnet", "efficientnet-logits", "none"] = "auto"
    """`lpips` as in the paper, `efficientnet` (installed with the package), `efficientnet-logits`
    (features and logits of the same network) or `none`; `auto` is lpips if its VGG16 weights are
    on this machine, else efficientnet; for maps it is none."""
    logit_weight: float = Field(default=0.01, ge=0)
    """Weight of the logits' mean squared difference beside the feature distance. It has an effect
    with efficientnet-logits only."""
    vgg_weights: Path | None = None
    """File with VGG16's weights for lpips (.pth of torchvision, .safetensors of timm). By default
    the environment variable SMALTI_VGG_WEIGHTS, then torch's download cache. It has an effect with
    lpips only."""

    _path = path_fields("vgg_weights")


class PatchDiscriminatorConfig(Config):
    """Shape of the patch discriminator."""

    filters: int = Field(default=64, ge=1)
    """Channels after the first convolution; they double with each layer, up to 8 times."""
    layers: int = Field(default=3, ge=1)
    """Number of down-sampling convolutions; 3 make patches of 70x70 pixels, 2 of 34x34, 1 of
    16x16."""
    norm: Literal["batch", "spectral"] = "batch"
    """`batch` is BatchNorm, as in the paper. `spectral` is spectral normalisation (Miyato et al.
    2018, arXiv:1802.05957), which bounds how fast the logits can change; its result does not depend
    on how a batch is divided."""

    @property
    def smallest_px(self) -> int:
        """Side in pixels of the smallest image that the discriminator takes; it has one patch."""
        return int(3 * 2**self.layers)


class AdaptiveWeightConfig(Config):
    """How the adversarial loss is weighed against the reconstruction loss."""

    delta: float = Field(default=1e-6, gt=0)
    """Added to the denominator of Eq. 7; the released code has 1e-4."""
    max_weight: float = Field(default=1e4, gt=0)
    """Upper limit of the ratio, before it is multiplied by `factor`."""
    factor: float = Field(default=0.8, ge=0)
    """Factor that multiplies the ratio: 1 in the paper, 0.8 in the released code."""

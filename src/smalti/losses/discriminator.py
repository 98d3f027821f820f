"""The patch discriminator: images -> one logit for each patch, real or reconstructed.

Axes: B batch, H/W image size in pixels, h/w grid of patches.
Reference: Esser et al. 2021, arXiv:2012.09841, Sec. 3.1, which takes it from Isola et al. 2017,
arXiv:1611.07004, Sec. 3.2.2 ("PatchGAN").
"""

from pydantic import Field
from torch import Tensor, nn

from smalti.types import Config, InputError

MAX_WIDENING = 8  # channels grow to at most this many times the first layer's
LEAK = 0.2


class PatchDiscriminatorConfig(Config):
    """Shape of the patch discriminator."""

    filters: int = Field(default=64, ge=1)
    """Channels after the first convolution; they double with each layer, up to 8 times."""
    layers: int = Field(default=3, ge=1)
    """Down-sampling convolutions; 3 make patches of 70x70 pixels, 2 of 34x34, 1 of 16x16."""

    @property
    def smallest_px(self) -> int:
        """Side in pixels of the smallest image that it can judge: one patch is left of it."""
        return int(3 * 2**self.layers)


class PatchDiscriminator(nn.Module):
    """Convolutions that judge each patch of an image on its own.

    With 64 filters and 3 layers it has 2,765,633 parameters, as in the released code.
    """

    def __init__(self, config: PatchDiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.filters * min(2**i, MAX_WIDENING) for i in range(config.layers + 1)]
        self.stem = nn.Conv2d(3, widths[0], kernel_size=4, stride=2, padding=1)
        self.blocks = nn.ModuleList(
            _Block(widths[i], widths[i + 1], stride=2 if i + 1 < config.layers else 1)
            for i in range(config.layers)
        )
        self.head = nn.Conv2d(widths[-1], 1, kernel_size=4, padding=1)
        self.activation = nn.LeakyReLU(LEAK)
        self.apply(_initialize)

    def forward(self, images: Tensor) -> Tensor:
        """Judge every patch.

        Args:
            images: (B, 3, H, W) floating point in [-1, 1].

        Returns:
            Logits (B, 1, h, w), unbounded; positive says real. h = H / 2^layers - 2, rounded down.

        Raises:
            InputError: the image is smaller than the config's `smallest_px`.
        """
        height, width = images.shape[-2:]
        smallest_px = self.config.smallest_px
        if min(height, width) < smallest_px:
            raise InputError(
                f"a discriminator of {self.config.layers} layers needs images of at least "
                f"{smallest_px}x{smallest_px} pixels, got {height}x{width}"
            )
        features = self.activation(self.stem(images))
        for block in self.blocks:
            features = self.activation(block(features))
        logits: Tensor = self.head(features)
        return logits


class _Block(nn.Module):
    """Convolution and batch normalization; the norm's shift stands in for the bias."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 4, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, features: Tensor) -> Tensor:
        normalized: Tensor = self.norm(self.conv(features))
        return normalized


def _initialize(module: nn.Module) -> None:
    """Start small, as pix2pix does: wide logits at the first step would swamp the generator."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)

"""The patch discriminator: images -> one logit for each patch, real or reconstructed.

Axes: B batch, H/W image size in pixels, h/w grid of patches.
Reference: Esser et al. 2021, arXiv:2012.09841, Sec. 3.1, which takes it from Isola et al. 2017,
arXiv:1611.07004, Sec. 3.2.2 ("PatchGAN").
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from smalti.config import InputError
from smalti.distributed import is_distributed, mean_with_gradient, world_size
from smalti.losses.config import PatchDiscriminatorConfig

MAX_WIDENING = 8  # channels grow to at most this many times the first layer's
LEAK = 0.2


class PatchDiscriminator(nn.Module):
    """Convolutions that give a logit, real or reconstructed, for each patch of an image.

    With 64 filters, 3 layers and BatchNorm it has 2,765,633 parameters, as in the released code.

    Args:
        config: shape of the network.
        channels: channels of the images.
    """

    def __init__(self, config: PatchDiscriminatorConfig, channels: int = 3) -> None:
        super().__init__()
        self.config = config
        is_spectral = config.norm == "spectral"
        widths = [config.filters * min(2**i, MAX_WIDENING) for i in range(config.layers + 1)]
        self.stem = nn.Conv2d(channels, widths[0], kernel_size=4, stride=2, padding=1)
        self.blocks = nn.ModuleList(
            _Block(widths[i], widths[i + 1], 2 if i + 1 < config.layers else 1, is_spectral)
            for i in range(config.layers)
        )
        self.head = nn.Conv2d(widths[-1], 1, kernel_size=4, padding=1)
        self.activation = nn.LeakyReLU(LEAK)
        self.apply(_initialize)
        if is_spectral:
            for module in list(self.modules()):
                if isinstance(module, nn.Conv2d):
                    spectral_norm(module)

    def forward(self, images: Tensor) -> Tensor:
        """Classify every patch of images as real or reconstructed.

        Args:
            images: (B, C, H, W) floating point in [-1, 1].

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
        return self.head(features)


class Judgement(NamedTuple):
    """Logits of the discriminator for a batch of images and for its reconstructions."""

    real_logits: Tensor
    """(B, 1, h, w) float32 of the images."""
    fake_logits: Tensor
    """(B, 1, h, w) float32 of the reconstructions."""


class Judge(nn.Module):
    """The discriminator on a batch and its reconstructions, in one forward pass.

    Distributed training allows one forward pass of a module before a backward pass. Images and
    reconstructions are normalized by their own statistics each, as in the released code.
    """

    def __init__(self, discriminator: PatchDiscriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, images: Tensor, reconstructions: Tensor) -> Judgement:
        """Judge images and reconstructions, (B, C, H, W) each; see `PatchDiscriminator`."""
        real_logits = self.discriminator(images).float()
        return Judgement(real_logits, self.discriminator(reconstructions).float())


class GlobalBatchNorm(nn.BatchNorm2d):
    """BatchNorm over the batch of all processes, also on the CPU, unlike `nn.SyncBatchNorm`."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalize features (B, C, h, w); training uses the statistics of the global batch."""
        if not (self.training and is_distributed()):
            return super().forward(input)
        with torch.autocast(input.device.type, enabled=False):
            features = input.float()
            mean = mean_with_gradient(features.mean((0, 2, 3)))
            # From the differences: as a difference of squares it may round to less than 0.
            centred = features - mean.view(-1, 1, 1)
            variance = mean_with_gradient(centred.square().mean((0, 2, 3)))
            self._follow(mean.detach(), variance.detach(), world_size() * input[:, 0].numel())
            scale = self.weight * (variance + self.eps).rsqrt()
            normalized = centred * scale.view(-1, 1, 1) + self.bias.view(-1, 1, 1)
        return normalized.to(input.dtype)

    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Update the running statistics, which evaluation uses, as `nn.BatchNorm2d` does."""
        assert self.momentum is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        for running, value in (
            (self.running_mean, mean),
            (self.running_var, variance * count / (count - 1)),
        ):
            assert running is not None
            running.lerp_(value, self.momentum)


class _Block(nn.Module):
    """Convolution and norm; with BatchNorm the convolution has no bias, its shift is one."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, is_spectral: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 4, stride, padding=1, bias=is_spectral)
        self.norm = nn.Identity() if is_spectral else GlobalBatchNorm(channels_out)

    def forward(self, features: Tensor) -> Tensor:
        return self.norm(self.conv(features))


def _initialize(module: nn.Module) -> None:
    """Set small initial weights, as pix2pix does: large first logits would swamp the generator."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)

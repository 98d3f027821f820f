"""Encoder E: images -> encoder output.

Reference: arXiv:2012.09841, Table 2, left column.
Deviation: by default non-local blocks stand after each residual block of the lowest resolution and
    in the middle, as in the released code; Table 2 lists the middle one only.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from smalti.tokenizer.blocks import Downsample, Level, Middle, ToUnitRange, group_norm
from smalti.tokenizer.config import VQGANConfig


class ConvolutionalEncoder(nn.Module):
    """Runs a first convolution, levels, a middle and a last convolution; a subclass makes them."""

    conv_in: nn.Conv2d
    levels: nn.ModuleList
    """Modules of the class `Level`."""
    middle: nn.Module
    norm_out: nn.GroupNorm
    conv_out: nn.Conv2d

    def forward(self, images: Tensor) -> Tensor:
        """Latent (B, latent_channels, H / 2^m, W / 2^m) of images (B, C, H, W)."""
        features = self.conv_in(images)
        for level in self.levels:
            features = level(features)
        features = self.middle(features)
        return self.conv_out(F.silu(self.norm_out(features)))


class Encoder(ConvolutionalEncoder):
    """Convolutional encoder with m = len(channel_multipliers) - 1 down-sampling steps.

    Args:
        config: shape of the VQGAN.
    """

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        widths = [config.channels * multiplier for multiplier in config.channel_multipliers]
        lowest = len(widths) - 1
        first = ToUnitRange if config.unit_range else nn.Conv2d
        self.conv_in = first(config.content.channels, config.channels, 3, padding=1)
        self.levels = nn.ModuleList(
            Level(
                config.channels if level == 0 else widths[level - 1],
                width,
                config.norm_groups,
                config.residual_blocks,
                attention=level in config.attended_levels,
                resample=None if level == lowest else Downsample(width),
            )
            for level, width in enumerate(widths)
        )
        self.middle = Middle(widths[-1], config.norm_groups, config.middle_attention)
        self.norm_out = group_norm(config.norm_groups, widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], config.inner_channels, 3, padding=1)

"""Decoder G: quantized latent -> images.

Reference: arXiv:2012.09841, Table 2, right column.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from smalti.tokenizer.blocks import FromUnitRange, Level, Middle, Upsample, group_norm
from smalti.tokenizer.config import VQGANConfig


class ConvolutionalDecoder(nn.Module):
    """Runs a first convolution, a middle, levels and a last convolution; a subclass makes them."""

    conv_in: nn.Conv2d
    middle: nn.Module
    levels: nn.ModuleList
    """Modules of the class `Level`."""
    norm_out: nn.GroupNorm
    conv_out: nn.Conv2d

    def features(self, z_q: Tensor) -> Tensor:
        """Input (B, channels, H, W) of the last convolution, for (B, latent_channels, h, w)."""
        features = self.middle(self.conv_in(z_q))
        for level in self.levels:
            features = level(features)
        return F.silu(self.norm_out(features))

    def forward(self, z_q: Tensor) -> Tensor:
        """Decode a quantized latent (B, latent_channels, h, w) into (B, C, 2^m h, 2^m w)."""
        return self.conv_out(self.features(z_q))


class Decoder(ConvolutionalDecoder):
    """Mirror of the encoder, with one more residual block at each level.

    Its levels are those of the encoder in reverse: level 0 of the config runs last.

    Args:
        config: shape of the VQGAN.
    """

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        widths = [config.channels * factor for factor in reversed(config.channel_multipliers)]
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(config.inner_channels, widths[0], 3, padding=1)
        self.middle = Middle(widths[0], config.norm_groups, config.middle_attention)
        self.levels = nn.ModuleList(
            Level(
                widths[max(level - 1, 0)],
                width,
                config.norm_groups,
                config.residual_blocks + 1,
                attention=last - level in config.attended_levels,
                resample=None if level == last else Upsample(width),
            )
            for level, width in enumerate(widths)
        )
        self.norm_out = group_norm(config.norm_groups, widths[-1])
        last_layer = FromUnitRange if config.unit_range else nn.Conv2d
        self.conv_out = last_layer(widths[-1], config.content.channels, 3, padding=1)

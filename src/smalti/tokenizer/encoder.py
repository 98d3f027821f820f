"""Encoder E: images -> encoder output.

Reference: arXiv:2012.09841, Table 2, left column.
Deviation: by default non-local blocks stand after each residual block of the lowest resolution and
    in the middle, as in the released code; Table 2 lists the middle one only.
"""

from collections.abc import Collection

import torch.nn.functional as F
from torch import Tensor, nn

from smalti.tokenizer.blocks import Downsample, Level, Middle, group_norm


class Encoder(nn.Module):
    """Convolutional encoder with m = len(channel_multipliers) - 1 down-sampling steps.

    Args:
        channels: channels at full resolution, a multiple of `norm_groups`.
        channel_multipliers: channels of each level, relative to `channels`.
        residual_blocks: residual blocks of each level.
        norm_groups: groups of each GroupNorm.
        latent_channels: channels of the output.
        attention_levels: levels with a non-local block after each residual block, 0 being full
            resolution; None is the lowest only.
        middle_attention: whether a non-local block stands in the middle.
        image_channels: C of the input.
    """

    def __init__(
        self,
        channels: int,
        channel_multipliers: tuple[int, ...],
        residual_blocks: int,
        norm_groups: int,
        latent_channels: int,
        attention_levels: Collection[int] | None = None,
        middle_attention: bool = True,
        image_channels: int = 3,
    ) -> None:
        super().__init__()
        widths = [channels * multiplier for multiplier in channel_multipliers]
        lowest = len(widths) - 1
        attended = {lowest} if attention_levels is None else attention_levels
        self.conv_in = nn.Conv2d(image_channels, channels, 3, padding=1)
        self.levels = nn.ModuleList(
            Level(
                channels if level == 0 else widths[level - 1],
                width,
                norm_groups,
                residual_blocks,
                attention=level in attended,
                resample=None if level == lowest else Downsample(width),
            )
            for level, width in enumerate(widths)
        )
        self.middle = Middle(widths[-1], norm_groups, middle_attention)
        self.norm_out = group_norm(norm_groups, widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], latent_channels, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Latent (B, latent_channels, H / 2^m, W / 2^m) of images (B, C, H, W)."""
        features = self.conv_in(images)
        for level in self.levels:
            features = level(features)
        features = self.middle(features)
        return self.conv_out(F.silu(self.norm_out(features)))

"""Decoder G: quantized latent -> images.

Reference: arXiv:2012.09841, Table 2, right column.
"""

from collections.abc import Collection

import torch.nn.functional as F
from torch import Tensor, nn

from smalti.tokenizer.blocks import (
    Level,
    Middle,
    Upsample,
    group_norm,
)


class Decoder(nn.Module):
    """Mirror of the encoder, with one more residual block at each level.

    The arguments are those of `Encoder`, also the numbers of the levels: level 0 runs last here.
    `image_channels` is C of the output.
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
        widths = [channels * multiplier for multiplier in reversed(channel_multipliers)]
        last = len(widths) - 1
        attended = {last} if attention_levels is None else attention_levels
        self.conv_in = nn.Conv2d(latent_channels, widths[0], 3, padding=1)
        self.middle = Middle(widths[0], norm_groups, middle_attention)
        self.levels = nn.ModuleList(
            Level(
                widths[max(level - 1, 0)],
                width,
                norm_groups,
                residual_blocks + 1,
                attention=last - level in attended,
                resample=None if level == last else Upsample(width),
            )
            for level, width in enumerate(widths)
        )
        self.norm_out = group_norm(norm_groups, widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], image_channels, 3, padding=1)

    def features(self, z_q: Tensor) -> Tensor:
        """Input (B, channels, H, W) of the last convolution, for (B, latent_channels, h, w)."""
        features = self.middle(self.conv_in(z_q))
        for level in self.levels:
            features = level(features)
        return F.silu(self.norm_out(features))

    def forward(self, z_q: Tensor) -> Tensor:
        """Decode a quantized latent (B, latent_channels, h, w) into (B, C, 2^m h, 2^m w)."""
        return self.conv_out(self.features(z_q))

"""The layers that encoder and decoder are made of.

Axes: B batch, C channels, H/W height and width at that level.
Reference: arXiv:2012.09841, Table 2 (App. A), after Ho et al. 2020, arXiv:2006.11239.
"""

import torch.nn.functional as F
from torch import Tensor, nn


def group_norm(groups: int, channels: int) -> nn.GroupNorm:
    """GroupNorm with eps 1e-6, the normalisation of the whole network."""
    return nn.GroupNorm(groups, channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """Adds to its input the result of two rounds of norm, swish and 3x3 convolution.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output; a 1x1 convolution fits the skip where they differ.
        norm_groups: groups of each GroupNorm.
    """

    def __init__(self, in_channels: int, out_channels: int, norm_groups: int) -> None:
        super().__init__()
        self.norm1 = group_norm(norm_groups, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm2 = group_norm(norm_groups, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = (
            nn.Identity()
            if in_channels == out_channels
            else nn.Conv2d(in_channels, out_channels, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H, W)."""
        change = self.conv1(F.silu(self.norm1(features)))
        return self.join(features, self.conv2(F.silu(self.norm2(change))))

    def join(self, features: Tensor, change: Tensor) -> Tensor:
        """Add the input (B, in_channels, H, W) and its change (B, out_channels, H, W)."""
        return self.skip(features) + change


class NonLocalAttention(nn.Module):
    """One-head self-attention over all positions ("non-local block"), added to the input."""

    def __init__(self, channels: int, norm_groups: int) -> None:
        super().__init__()
        self.norm = group_norm(norm_groups, channels)
        self.query = nn.Conv2d(channels, channels, 1)
        self.key = nn.Conv2d(channels, channels, 1)
        self.value = nn.Conv2d(channels, channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        normed = self.norm(features)
        # The kernels that never hold all H*W x H*W weights want channels side by side.
        query, key, value = (
            projection(normed).flatten(2).mT.contiguous().unsqueeze(1)  # (B, 1, H*W, C)
            for projection in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)
        mixed = mixed.squeeze(1).mT.reshape(features.shape)
        return features + self.project(mixed)


class ToUnitRange(nn.Conv2d):
    """Convolution that moves images from [-1, 1] to [0, 1] before it pads them with zeros."""

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, C', H, W)."""
        return super().forward((images + 1) / 2)


class FromUnitRange(nn.Conv2d):
    """Convolution to images in [0, 1], which are moved to [-1, 1]."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W), about in [-1, 1]."""
        return 2 * super().forward(features) - 1


class Downsample(nn.Module):
    """Halves the size: pads right and bottom by one, then convolves 3x3 with stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / 2, W / 2)."""
        return self.conv(F.pad(features, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Doubles the size: repeats each pixel, then convolves 3x3.

    It is computed as one transposed convolution, which gives the same numbers but for rounding,
    with 2.25 times fewer multiplications and without the repeated pixels in memory.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2 H, 2 W)."""
        kernel = _kernel_of_repeated_pixels(self.conv.weight)
        return F.conv_transpose2d(features, kernel, self.conv.bias, stride=2, padding=1)


def _kernel_of_repeated_pixels(weight: Tensor) -> Tensor:
    """Kernel (C, C', 4, 4) of the transposed convolution that `Upsample` computes.

    Along one side, a repeated pixel meets the three weights of `weight` (C', C, 3, 3) like this:

        input          |    0    |    1    |    2    |
        repeated       |  0    0 |  1    1 |  2    2 |
        output 2       |       a |  b    c |         |   a of pixel 0, b + c of pixel 1
        output 3       |         |  a    b |  c      |   a + b of pixel 1, c of pixel 2

    So pixel 1 adds to the outputs 1, 2, 3 and 4 with the weights c, b + c, a + b and a.
    """
    padded = F.pad(weight.transpose(0, 1).flip(2, 3), (1, 1, 1, 1))  # 0 c b a 0
    rows = padded[..., 1:, :] + padded[..., :-1, :]
    return rows[..., 1:] + rows[..., :-1]


class Level(nn.Module):
    """Residual blocks at one resolution, each followed by attention if `attention` is set.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm_groups: groups of each GroupNorm.
        blocks: number of residual blocks.
        attention: whether a non-local block follows each.
        resample: what changes the size at the end; None at the last level.
        block: class of the residual blocks.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm_groups: int,
        blocks: int,
        attention: bool,
        resample: nn.Module | None,
        block: type[ResidualBlock] = ResidualBlock,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            block(in_channels if number == 0 else out_channels, out_channels, norm_groups)
            for number in range(blocks)
        )
        self.attentions = nn.ModuleList(
            NonLocalAttention(out_channels, norm_groups) if attention else nn.Identity()
            for _ in range(blocks)
        )
        self.resample = resample or nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H', W')."""
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            features = attention(block(features))
        return self.resample(features)


class Middle(nn.Module):
    """Residual block, optional non-local block and residual block at the lowest resolution."""

    def __init__(self, channels: int, norm_groups: int, attention: bool) -> None:
        super().__init__()
        self.block1 = ResidualBlock(channels, channels, norm_groups)
        self.attention = NonLocalAttention(channels, norm_groups) if attention else nn.Identity()
        self.block2 = ResidualBlock(channels, channels, norm_groups)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return self.block2(self.attention(self.block1(features)))


def initialize(module: nn.Module) -> None:
    """Set initial weights that keep the size of the signal; to be given to `nn.Module.apply`.

    Convolutions keep the variance of their input; residual branches begin as zero, so each block
    begins as the identity and the first gradients reach the codes undamped.

    Deviation: the released code keeps PyTorch's defaults, which shrink the signal at each layer,
        so that the codes stay alike for longer.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, ResidualBlock):
        nn.init.zeros_(module.conv2.weight)
    elif isinstance(module, NonLocalAttention):
        nn.init.zeros_(module.project.weight)

"""Inception v3 with the blocks of the network that the FID was defined with.

It differs from the usual network in its average pooling, which leaves out the padded border, in
its last block, which pools by the maximum, and in its 1008 classes. The weights have the names of
the published conversion.

Axes: B batch, C channels, H/W size of a feature map.
Reference: Szegedy et al. 2015, arXiv:1512.00567, Table 1, Figs. 5 to 7 and 10.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEATURES = 2048
CLASSES = 1008
BATCH_NORM_EPSILON = 1e-3  # of the batch normalization the network was trained with

WIDE_7, HIGH_7 = (1, 7), (7, 1)
WIDE_3, HIGH_3 = (1, 3), (3, 1)


class InceptionV3(nn.Module):
    """The network up to its pooled features; `fc` makes logits of them."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, stride=2, padding="valid")
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3, padding="valid")
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3, padding="valid")
        self.Mixed_5b = _BlockA(192, pool_channels=32)
        self.Mixed_5c = _BlockA(256, pool_channels=64)
        self.Mixed_5d = _BlockA(288, pool_channels=64)
        self.Mixed_6a = _BlockB(288)
        self.Mixed_6b = _BlockC(128)
        self.Mixed_6c = _BlockC(160)
        self.Mixed_6d = _BlockC(160)
        self.Mixed_6e = _BlockC(192)
        self.Mixed_7a = _BlockD(768)
        self.Mixed_7b = _BlockE(1280, _average)
        self.Mixed_7c = _BlockE(FEATURES, _maximum)
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Compute the features of the last pooling layer.

        Args:
            images: (B, 3, 299, 299) float32 in [-1, 1).

        Returns:
            (B, 2048) float32 >= 0.
        """
        maps = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))  # 147x147
        maps = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(maps, 3, 2)))  # 71x71
        maps = F.max_pool2d(maps, 3, 2)
        maps = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(maps)))  # (B, 288, 35, 35)
        maps = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(maps)))  # (B, 768, 17, 17)
        maps = self.Mixed_6e(self.Mixed_6d(maps))
        maps = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(maps)))  # (B, 2048, 8, 8)
        return maps.mean((2, 3))


class _Conv(nn.Module):
    """Convolution, batch normalization, ReLU."""

    def __init__(
        self,
        channels_in: int,
        channels: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: str = "same",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=BATCH_NORM_EPSILON)

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(maps)))


def _average(maps: Tensor) -> Tensor:
    return F.avg_pool2d(maps, 3, 1, 1, count_include_pad=False)


def _maximum(maps: Tensor) -> Tensor:
    return F.max_pool2d(maps, 3, 1, 1)


class _BlockA(nn.Module):
    """Block that turns (B, C, 35, 35) into (B, 224 + pool channels, 35, 35)."""

    def __init__(self, channels_in: int, pool_channels: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(channels_in, 64, 1)
        self.branch5x5_1 = _Conv(channels_in, 48, 1)
        self.branch5x5_2 = _Conv(48, 64, 5)
        self.branch3x3dbl_1 = _Conv(channels_in, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3)
        self.branch3x3dbl_3 = _Conv(96, 96, 3)
        self.branch_pool = _Conv(channels_in, pool_channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        branches = (
            self.branch1x1(maps),
            self.branch5x5_2(self.branch5x5_1(maps)),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(maps))),
            self.branch_pool(_average(maps)),
        )
        return torch.cat(branches, 1)


class _BlockB(nn.Module):
    """Block that turns (B, C, 35, 35) into (B, 480 + C, 17, 17)."""

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.branch3x3 = _Conv(channels_in, 384, 3, stride=2, padding="valid")
        self.branch3x3dbl_1 = _Conv(channels_in, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, stride=2, padding="valid")

    def forward(self, maps: Tensor) -> Tensor:
        branches = (
            self.branch3x3(maps),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(maps))),
            F.max_pool2d(maps, 3, 2),
        )
        return torch.cat(branches, 1)


class _BlockC(nn.Module):
    """Block that keeps (B, 768, 17, 17), with 7x7 filters made of a row and a column."""

    def __init__(self, narrow: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(768, 192, 1)
        self.branch7x7_1 = _Conv(768, narrow, 1)
        self.branch7x7_2 = _Conv(narrow, narrow, WIDE_7)
        self.branch7x7_3 = _Conv(narrow, 192, HIGH_7)
        self.branch7x7dbl_1 = _Conv(768, narrow, 1)
        self.branch7x7dbl_2 = _Conv(narrow, narrow, HIGH_7)
        self.branch7x7dbl_3 = _Conv(narrow, narrow, WIDE_7)
        self.branch7x7dbl_4 = _Conv(narrow, narrow, HIGH_7)
        self.branch7x7dbl_5 = _Conv(narrow, 192, WIDE_7)
        self.branch_pool = _Conv(768, 192, 1)

    def forward(self, maps: Tensor) -> Tensor:
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(maps)))
        branches = (
            self.branch1x1(maps),
            self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(maps))),
            self.branch7x7dbl_5(self.branch7x7dbl_4(double)),
            self.branch_pool(_average(maps)),
        )
        return torch.cat(branches, 1)


class _BlockD(nn.Module):
    """Block that turns (B, C, 17, 17) into (B, 512 + C, 8, 8)."""

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.branch3x3_1 = _Conv(channels_in, 192, 1)
        self.branch3x3_2 = _Conv(192, 320, 3, stride=2, padding="valid")
        self.branch7x7x3_1 = _Conv(channels_in, 192, 1)
        self.branch7x7x3_2 = _Conv(192, 192, WIDE_7)
        self.branch7x7x3_3 = _Conv(192, 192, HIGH_7)
        self.branch7x7x3_4 = _Conv(192, 192, 3, stride=2, padding="valid")

    def forward(self, maps: Tensor) -> Tensor:
        large = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(maps)))
        branches = (
            self.branch3x3_2(self.branch3x3_1(maps)),
            self.branch7x7x3_4(large),
            F.max_pool2d(maps, 3, 2),
        )
        return torch.cat(branches, 1)


class _BlockE(nn.Module):
    """Block that turns (B, C, 8, 8) into (B, 2048, 8, 8), with a row and a column side by side."""

    def __init__(self, channels_in: int, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.branch1x1 = _Conv(channels_in, 320, 1)
        self.branch3x3_1 = _Conv(channels_in, 384, 1)
        self.branch3x3_2a = _Conv(384, 384, WIDE_3)
        self.branch3x3_2b = _Conv(384, 384, HIGH_3)
        self.branch3x3dbl_1 = _Conv(channels_in, 448, 1)
        self.branch3x3dbl_2 = _Conv(448, 384, 3)
        self.branch3x3dbl_3a = _Conv(384, 384, WIDE_3)
        self.branch3x3dbl_3b = _Conv(384, 384, HIGH_3)
        self.branch_pool = _Conv(channels_in, 192, 1)
        self._pool = pool

    def forward(self, maps: Tensor) -> Tensor:
        single = self.branch3x3_1(maps)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(maps))
        branches = (
            self.branch1x1(maps),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(self._pool(maps)),
        )
        return torch.cat(branches, 1)

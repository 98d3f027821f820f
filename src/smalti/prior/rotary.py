"""Rotary positions in two dimensions: queries and keys are turned by row and column.

A quarter of a head's channels is turned by the row and a quarter by the column, in pairs, each by
its own angle a cell. The product of a query and a key then depends on how many rows and columns
they are apart. The other half stays as it is. Tokens without a place, such as a class, have zeros
in the turned half: they are compared by the other half alone, from everywhere alike.

Axes: B batch, H heads, L sequence length, C channels of one head, n = C / 8 angles of each axis.
Reference: Su et al. 2021, "RoFormer: Enhanced Transformer with Rotary Position Embedding",
    arXiv:2104.09864, Sec. 3.2; Sun et al. 2024, "LlamaGen", arXiv:2406.06525, Sec. 3.2 (in two
    dimensions, with zeros for the class).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from smalti.prior.transformer_config import ROTARY_MULTIPLE

SLOWEST = 100.0
"""How many times slower the slowest angle turns than the fastest, one radian a cell. Windows have
some tens of cells."""


class Rotation(NamedTuple):
    """By how much to turn the channels of tokens; both are (..., L, 2 n) float32."""

    cos: Tensor
    sin: Tensor

    def of(self, tokens: slice) -> "Rotation":
        """The rotation of some of the tokens."""
        return Rotation(self.cos[..., tokens, :], self.sin[..., tokens, :])

    def of_each(self, positions: Tensor) -> "Rotation":
        """The rotation (B, 1, L, 2 n) of sequences whose tokens have the positions (B, L) int64."""
        return Rotation(self.cos[positions].unsqueeze(1), self.sin[positions].unsqueeze(1))

    def at(self, position: Tensor) -> "Rotation":
        """The rotation of one of L positions, whose number (1,) int64 is on the device."""
        return Rotation(*(table.index_select(0, position) for table in self))


def rotation_of(places: Tensor, channels: int) -> Rotation:
    """The rotation of tokens by their places.

    Args:
        places: (L, 2) floating point, row and column of each token in cells; NaN without a place.
        channels: C, a multiple of 8.
    """
    angles = channels // ROTARY_MULTIPLE
    speeds = SLOWEST ** -(torch.arange(angles, device=places.device) / angles)
    turned = (places.double()[:, :, None] * speeds.double()).flatten(1)  # (L, 2 n)
    return Rotation(*(part.nan_to_num(nan=0.0).float() for part in (turned.cos(), turned.sin())))


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn queries or keys (B, H, L, C) by the rotation of their tokens."""
    half = rotation.cos.shape[-1]
    cos, sin = rotation.cos.to(x.dtype), rotation.sin.to(x.dtype)
    one, other, rest = x.split_with_sizes([half, half, x.shape[-1] - 2 * half], dim=-1)
    return torch.cat([one * cos - other * sin, other * cos + one * sin, rest], dim=-1)

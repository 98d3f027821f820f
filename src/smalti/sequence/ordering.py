"""Orderings in which the cells of a grid of codes become a sequence of tokens.

Axes: B batch, h/w latent grid, L = h * w image tokens.
Reference: arXiv:2012.09841, Sec. 4.4 "On the Ordering of Image Representations", and Fig. 30 in
    App. D (each ordering on a grid of 4 x 4).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from smalti.config import InputError
from smalti.registry import Registry


class Ordering:
    """A permutation of the cells of a grid.

    Args:
        forward: (L,) int64, a permutation of 0 to L - 1: the row-major number of the cell that
            comes first in the sequence, then of the second, and so on.

    Raises:
        ValueError: `forward` is not a permutation.
    """

    def __init__(self, forward: Tensor) -> None:
        cells = torch.arange(forward.numel(), device=forward.device)
        if forward.ndim != 1 or not torch.equal(forward.sort().values, cells):
            raise ValueError(f"an ordering must be a permutation of its cells, got {forward}")
        self.forward = forward

    def to_tokens(self, codes: Tensor) -> Tensor:
        """Tokens (B, L) int64 of codes (B, h, w) int64.

        Raises:
            ValueError: the grid has another number of cells.
        """
        cells = codes.shape[1] * codes.shape[2]
        if cells != self.forward.numel():
            raise ValueError(f"the ordering has {self.forward.numel()} cells, the grid {cells}")
        return codes.flatten(1)[:, self.forward.to(codes.device)]


ORDERINGS: Registry[Any] = Registry("ordering")
"""Sub-classes of `Ordering` that are built with the height and width of a grid."""


def build_ordering(name: str, height: int, width: int, seed: int = 1) -> Ordering:
    """Build the ordering of a grid of height x width cells.

    Args:
        name: name of the ordering in `ORDERINGS`.
        height: h, at least 1.
        width: w, at least 1.
        seed: seed of `random`, in [0, 2^32); the others ignore it.

    Raises:
        InputError: there is no such ordering, or it is not defined on a grid of that size.
    """
    kind = ORDERINGS[name]
    with torch.device("cpu"):  # an ordering is checked, which needs values, wherever a model is
        return kind(height, width, seed) if issubclass(kind, Random) else kind(height, width)


@ORDERINGS.register("row_major")
class RowMajor(Ordering):
    """Row major, or raster scan: line by line from the top left; the paper's default (i)."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__(_cells(height, width).flatten())


@ORDERINGS.register("spiral_in")
class SpiralIn(Ordering):
    """Spiral in: around the edge and on to the center, which thus has the most context (vi).

    It starts at the bottom right and first goes up, then left, down and right. The paper's grids
    are square with even sides; the same walk is defined on every grid.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__(_spiral(_cells(height, width)))


@ORDERINGS.register("spiral_out")
class SpiralOut(Ordering):
    """Spiral out: from the center, where most images show an object, to the edge (ii).

    It is `spiral_in` backwards.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__(_spiral(_cells(height, width)).flip(0))


@ORDERINGS.register("z_curve")
class ZCurve(Ordering):
    """Z-curve, z-order or Morton curve: cells that are near stay near in the sequence (iii).

    Each quarter of a square is read before the next one, top left, top right, bottom left, bottom
    right, and is itself read that way. An oblong grid is a row or column of squares.

    Raises:
        InputError: a side is not a power of two.
    """

    def __init__(self, height: int, width: int) -> None:
        if not _is_power_of_two(height) or not _is_power_of_two(width):
            raise InputError(
                f"ordering z_curve is not defined on a grid of {height} x {width}: both sides must "
                "be powers of two"
            )
        rows, columns = torch.arange(height)[:, None], torch.arange(width)
        codes = _spread_bits(rows) * 2 + _spread_bits(columns)
        super().__init__(codes.flatten().argsort())


@ORDERINGS.register("subsample")
class Subsample(Ordering):
    """Subsample: prefixes of the sequence are subsampled representations of the image (iv).

    First every second cell of every second row, which are themselves read that way, then their
    right, lower and lower right neighbours. It ends where a side is odd: such cells are read line
    by line. The paper's grids are square with powers of two.

    Raises:
        InputError: a side is odd.
    """

    def __init__(self, height: int, width: int) -> None:
        if height % 2 or width % 2:
            raise InputError(
                f"ordering subsample is not defined on a grid of {height} x {width}: both sides "
                "must be even"
            )
        super().__init__(_subsample(_cells(height, width)))


@ORDERINGS.register("alternate")
class Alternate(Ordering):
    """Alternate: row major, but every second line runs from right to left (v)."""

    def __init__(self, height: int, width: int) -> None:
        cells = _cells(height, width)
        cells[1::2] = cells[1::2].flip(1)
        super().__init__(cells.flatten())


@ORDERINGS.register("random")
class Random(Ordering):
    """A random permutation that is fixed by its seed; not in the paper, but in its released code.

    Args:
        height: h.
        width: w.
        seed: in [0, 2^32); the released code's is 1.
    """

    def __init__(self, height: int, width: int, seed: int = 1) -> None:
        # NumPy's legacy generator gives the same numbers in every release.
        permutation = np.random.RandomState(seed).permutation(height * width)
        super().__init__(torch.from_numpy(permutation).long())


def _cells(height: int, width: int) -> Tensor:
    """Row-major numbers (height, width) int64 of a grid's cells."""
    return torch.arange(height * width).view(height, width)


def _spiral(cells: Tensor) -> Tensor:
    """Order cells (h, w) along a spiral inwards from the bottom right, up first: (h * w,)."""
    sides = []
    while cells.numel():
        sides.append(cells[:, -1].flip(0))
        cells = cells[:, :-1].rot90(-1)  # so that the next side stands on the right
    return torch.cat(sides)


def _subsample(cells: Tensor) -> Tensor:
    """Order cells (h, w) by row and column modulo two, recursively: (h * w,)."""
    height, width = cells.shape
    if height % 2 or width % 2:
        return cells.flatten()
    return torch.cat([_subsample(cells[row::2, column::2]) for row in (0, 1) for column in (0, 1)])


def _spread_bits(numbers: Tensor) -> Tensor:
    """Insert a zero bit above each bit of non-negative numbers below 2^31, int64."""
    spread = torch.zeros_like(numbers)
    for bit in range(31):
        spread |= (numbers >> bit & 1) << 2 * bit
    return spread


def _is_power_of_two(side: int) -> bool:
    return side > 0 and side & (side - 1) == 0

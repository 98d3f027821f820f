"""Orderings: in which order the cells of a grid of codes become a sequence of tokens.

Axes: B batch, h/w latent grid, L = h * w image tokens.
Reference: arXiv:2012.09841, Sec. 4.4 "On the Ordering of Image Representations".
"""

from typing import Any

import torch
from torch import Tensor

from smalti.registry import Registry


class Ordering:
    """A permutation of the cells of a grid, and its inverse.

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
        self.backward = forward.argsort()

    def to_tokens(self, codes: Tensor) -> Tensor:
        """Tokens (B, L) int64 of codes (B, h, w) int64.

        Raises:
            ValueError: the grid has another number of cells.
        """
        self._check(codes.shape[1] * codes.shape[2])
        return codes.flatten(1)[:, self.forward.to(codes.device)]

    def to_codes(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """Codes (B, height, width) int64 of tokens (B, L) int64.

        Raises:
            ValueError: the grid has another number of cells.
        """
        self._check(height * width)
        return tokens[:, self.backward.to(tokens.device)].view(-1, height, width)

    def _check(self, cells: int) -> None:
        if cells != self.forward.numel():
            raise ValueError(f"the ordering has {self.forward.numel()} cells, the grid {cells}")


ORDERINGS: Registry[Any] = Registry("ordering")
"""Sub-classes of `Ordering` that are built with the height and width of a grid."""


@ORDERINGS.register("row_major")
class RowMajor(Ordering):
    """Line by line from the top left, each line from left to right; the paper's default."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__(torch.arange(height * width))

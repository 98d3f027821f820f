"""Conditions with a token for each cell of a grid, which slide along with the window.

Axes: B batch, h/w grid of the condition's codes in a window, H/W that of a whole canvas, K number
of their values.
"""

import torch
from pydantic import Field
from torch import Tensor

from smalti.config import Config
from smalti.types import Window


class GridConfig(Config):
    """What a prior must know of a condition that is a grid."""

    grid_height: int = Field(ge=1)
    """h, rows of the condition's codes in a window of the prior."""
    grid_width: int = Field(ge=1)
    """w, columns of the condition's codes in a window of the prior."""


class GridCondition:
    """Codes line by line; a value after the last stands for "any".

    What conditioners that follow the `Conditioner` protocol build on.

    Args:
        grid: sizes in a window.
        values: K.
    """

    def __init__(self, grid: GridConfig, values: int) -> None:
        self.grid = grid
        self.length = grid.grid_height * grid.grid_width
        self.null = values
        self.vocab_size = values + 1

    def at(self, codes: Tensor, window: Window) -> Tensor:
        """Codes (B, h, w) behind a window, of those of a whole canvas (B, H, W)."""
        return codes_behind(codes, window, self.grid.grid_height, self.grid.grid_width)

    def tokens(self, codes: Tensor) -> Tensor:
        """Tokens (B, h * w) int64 in [0, K) of codes (B, h, w) int64."""
        return codes.flatten(1)

    def null_tokens(self, batch_size: int) -> Tensor:
        """The dropped condition (batch_size, h * w) int64: K everywhere."""
        return torch.full((batch_size, self.length), self.null)


def codes_behind(codes: Tensor, window: Window, rows: int, columns: int) -> Tensor:
    """The part (B, rows, columns) of a canvas's codes (B, H, W) that lies behind a window.

    The codes' grid may be finer or coarser than the window's, which is that of the image.
    """
    top = window.top * rows // window.height
    left = window.left * columns // window.width
    # A coarser grid's last window would else stop short of it by a rounded-off part of a cell.
    top, left = min(top, codes.shape[1] - rows), min(left, codes.shape[2] - columns)
    return codes[:, top : top + rows, left : left + columns]

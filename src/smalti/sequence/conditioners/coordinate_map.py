"""Condition on where in the picture each cell of the window lies: a token for each of them.

The released models of aligned faces are told so. Where a prior is trained anew, `coordinates` says
the same in two tokens.

Axes: B batch, H/W size in pixels, h/w grid of cells.
Reference: arXiv:2012.09841, Sec. 3.2 "Generating High-Resolution Images": conditioning on image
    coordinates.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from smalti.sequence.conditioners.base import CONDITIONERS
from smalti.sequence.conditioners.spatial import codes_behind
from smalti.types import Config, Window


class CoordinateMapConfig(Config):
    """Config of `CoordinateMap`."""

    kind: Literal["coordinate_map"] = "coordinate_map"
    levels: int = Field(ge=2)
    """Numbers that are told apart from the first pixel of a picture to its last."""
    cell_px: int = Field(ge=1)
    """Side of a cell in pixels."""
    grid_height: int = Field(ge=1)
    """h, rows of cells in a window of the prior."""
    grid_width: int = Field(ge=1)
    """w, columns of cells in a window of the prior."""


@CONDITIONERS.register("coordinate_map")
class CoordinateMap:
    """The share of the picture's pixels that come before each cell, in reading order.

    Values are (B, 1, H, W) float32 in [0, 1): of each pixel, the share of the whole picture's
    pixels before it. Codes (B, h, w) int64 in [0, levels) are the means over cells, rounded.
    Follows the `Conditioner` protocol.
    """

    kind = "coordinate_map"

    def __init__(self, config: CoordinateMapConfig) -> None:
        self.config = config
        self.length = config.grid_height * config.grid_width
        self.null = config.levels
        self.vocab_size = config.levels + 1

    def encode(self, values: Tensor) -> Tensor:
        """Codes (B, h, w) int64 of maps, of any size that the cells divide."""
        means = F.avg_pool2d(values, self.config.cell_px)[:, 0]
        levels = self.config.levels
        # Only the last cells of pictures of more than `levels` rows of cells round up to `levels`.
        return (levels * means).round().long().clamp(max=levels - 1)

    def at(self, codes: Tensor, window: Window) -> Tensor:
        """Codes (B, grid_height, grid_width) of a window, of those of a whole canvas."""
        return codes_behind(codes, window, self.config.grid_height, self.config.grid_width)

    def tokens(self, codes: Tensor) -> Tensor:
        """Tokens (B, h * w) int64 in [0, levels)."""
        return codes.flatten(1)

    def null_tokens(self, batch_size: int) -> Tensor:
        """The dropped condition (batch_size, h * w) int64: the last value of the vocabulary."""
        return torch.full((batch_size, self.length), self.null)

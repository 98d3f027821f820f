"""Condition on where in the picture each cell of the window lies: a token for each of them.

The released models of aligned faces are told so. Where a prior is trained anew, `coordinates` says
the same in two tokens.

Axes: B batch, H/W size in pixels, h/w grid of cells.
Reference: arXiv:2012.09841, Sec. 3.2 "Generating High-Resolution Images": conditioning on image
    coordinates.
"""

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from smalti.conditions.base import CONDITIONS
from smalti.conditions.grid import GridCondition, GridConfig


class CoordinateMapConfig(GridConfig):
    """Config of `CoordinateMap`."""

    kind: Literal["coordinate_map"] = "coordinate_map"
    levels: int = Field(ge=2)
    """Numbers that are told apart from the first pixel of a picture to its last."""
    cell_px: int = Field(ge=1)
    """Side of a cell in pixels."""


@CONDITIONS.register("coordinate_map")
class CoordinateMap(GridCondition):
    """The share of the picture's pixels that come before each cell, in reading order.

    Values are (B, 1, H, W) float32 in [0, 1): of each pixel, the share of the whole picture's
    pixels before it. Codes (B, h, w) int64 in [0, levels) are the means over cells, rounded.
    Follows the `Conditioner` protocol.
    """

    kind = "coordinate_map"

    def __init__(self, config: CoordinateMapConfig) -> None:
        super().__init__(config, config.levels)
        self.config = config

    def encode(self, values: Tensor) -> Tensor:
        """Codes (B, h, w) int64 of maps, of any size that the cells divide."""
        means = F.avg_pool2d(values, self.config.cell_px)[:, 0]
        levels = self.config.levels
        # Only the last cells of pictures of more than `levels` rows of cells round up to `levels`.
        return (levels * means).round().long().clamp(max=levels - 1)

"""Condition on where in the picture the window lies: a token for its row, one for its column.

Reference: arXiv:2012.09841, Sec. 3.2 "Generating High-Resolution Images": conditioning on
    coordinates for images that are aligned; Lin et al. 2019, "COCO-GAN", arXiv:1904.00284.
Deviation: the released code gives every cell a token of its own; two tokens say the same.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from smalti.conditions.base import CONDITIONS
from smalti.config import Config
from smalti.types import Window


class CoordinatesConfig(Config):
    """Config of `Coordinates`."""

    kind: Literal["coordinates"] = "coordinates"
    rows: int = Field(ge=1)
    """Positions of a window from the top of the training pictures to the bottom, in cells."""
    columns: int = Field(ge=1)
    """Positions of a window from the left of the training pictures to the right, in cells."""


@CONDITIONS.register("coordinates")
class Coordinates:
    """Row and column of the window's top left cell, relative to the room it has in the picture.

    In pictures of the size trained on, each cell has numbers of its own; in larger ones,
    neighbours share them. Values are (B, 2) float32 in [0, 1]: how far down and how far right the
    window lies, 0 where there is no room. Codes are the rounded positions (B, 2) int64. Follows
    the `Conditioner` protocol.
    """

    kind = "coordinates"
    length = 2

    def __init__(self, config: CoordinatesConfig) -> None:
        self.config = config
        self.null = config.rows + config.columns
        self.vocab_size = config.rows + config.columns + 1

    def encode(self, values: Tensor) -> Tensor:
        """Codes (B, 2) int64: row in [0, rows), column in [0, columns)."""
        steps = torch.tensor([self.config.rows - 1, self.config.columns - 1], device=values.device)
        return (values * steps).round().long()

    def at(self, codes: Tensor, window: Window) -> Tensor:
        """Codes (B, 2) int64 of the window, wherever the canvas's own (B, 2) say that it lies."""
        room = (window.canvas_height - window.height, window.canvas_width - window.width)
        place = (window.top / max(room[0], 1), window.left / max(room[1], 1))
        return self.encode(torch.tensor([place], device=codes.device)).expand(len(codes), 2)

    def tokens(self, codes: Tensor) -> Tensor:
        """Tokens (B, 2) int64: row, then column, whose numbers follow those of the rows."""
        return codes + torch.tensor([0, self.config.rows], device=codes.device)

    def null_tokens(self, batch_size: int) -> Tensor:
        """The dropped condition (batch_size, 2) int64: the last value of the vocabulary."""
        return torch.full((batch_size, 2), self.null)

"""The sequence of the local prior for a grid of any size: what its tokens are, and where.

Axes: S conditioning length, L sequence length, h/w grid of image tokens.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from smalti.prior.base import GridSizes
from smalti.prior.local.neighbourhood import GLOBAL, IMAGE, Tokens, grid_tokens
from smalti.prior.places import grid_places


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows and columns of image tokens, of a map, or of an image with the beginnings of rows."""

    kind: int
    """IMAGE, or the number of a map."""
    places: Tensor
    """(rows, columns, 2) float32, in cells of the image."""

    @property
    def columns(self) -> int:
        """Number of tokens of a row."""
        return self.places.shape[1]

    def tokens(self, rows: range) -> Tokens:
        """The tokens of some rows."""
        return grid_tokens(self.kind, self.places[rows.start : rows.stop])


def image_grid(height: int, width: int) -> Grid:
    """The grid of an image of h x w codes, with the tokens that begin its rows at column -1."""
    rows, columns = torch.arange(float(height)), torch.arange(-1.0, width)
    return Grid(IMAGE, torch.cartesian_prod(rows, columns).view(height, width + 1, 2))


def map_grid(number: int, sizes: GridSizes, rows: int, columns: int) -> Grid:
    """The grid of a map of so many rows and columns, each cell as large as in the training."""
    tokens = sizes.maps[number]
    height = rows * sizes.grid_height / tokens.rows
    width = columns * sizes.grid_width / tokens.columns
    return Grid(number, grid_places(rows, columns, height, width).view(rows, columns, 2))


def global_numbers(sizes: GridSizes) -> list[int]:
    """Numbers of the conditioning tokens that are of no map."""
    of_maps = {
        number
        for tokens in sizes.maps
        for number in range(tokens.start, tokens.start + tokens.rows * tokens.columns)
    }
    return [number for number in range(sizes.cond_length) if number not in of_maps]


def tokens_of(sizes: GridSizes) -> Tokens:
    """All tokens of a sequence at the training size, with the tokens that begin rows."""
    kind = torch.full((sizes.cond_length,), GLOBAL)
    places = torch.full((sizes.cond_length, 2), math.nan)
    for number, tokens in enumerate(sizes.maps):
        of_map = slice(tokens.start, tokens.start + tokens.rows * tokens.columns)
        kind[of_map] = number
        grid = map_grid(number, sizes, tokens.rows, tokens.columns)
        places[of_map] = grid.places.flatten(0, 1)
    image = grid_tokens(IMAGE, image_grid(sizes.grid_height, sizes.grid_width).places)
    return Tokens(torch.cat([kind, image.kind]), torch.cat([places, image.places]))

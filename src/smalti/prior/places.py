"""Places in the image of the tokens of a sequence, in cells of its grid.

Axes: S conditioning length, L sequence length, h/w grid of image tokens.
"""

import math

import torch
from torch import Tensor, nn

from smalti.prior.base import GridSizes
from smalti.prior.rotary import Rotation, rotation_of


class Turning(nn.Module):
    """The rotation of all positions of a sequence, on the device of the prior; nothing is learned.

    Args:
        places: (L, 2) float32 on the CPU, row and column of each position; NaN without a place.
        channels: channels of one head, a multiple of 8.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, places: Tensor, channels: int) -> None:
        super().__init__()
        table = rotation_of(places, channels)
        self.register_buffer("cos", table.cos, persistent=False)
        self.register_buffer("sin", table.sin, persistent=False)

    @property
    def rotation(self) -> Rotation:
        """The rotation of all L positions."""
        return Rotation(self.cos, self.sin)


def places_of(sizes: GridSizes, length: int) -> Tensor:
    """Row and column (L, 2) float32 of each of L tokens; NaN where it has no place.

    Image tokens have those of their cells, the tokens of a map those of the cells that they show,
    which lie between cells of the image if its grid is coarser. Other conditioning tokens, such as
    a class, have no place.
    """
    height, width = sizes.grid_height, sizes.grid_width
    places = torch.full((length, 2), math.nan)
    for grid in sizes.maps:
        cells = grid_places(grid.rows, grid.columns, height, width)
        places[grid.start : grid.start + len(cells)] = cells
    cells = grid_places(height, width, height, width)
    in_order = cells if sizes.order is None else cells[list(sizes.order)]
    places[sizes.cond_length :] = in_order[: length - sizes.cond_length]
    return places


def grid_places(rows: int, columns: int, height: float, width: float) -> Tensor:
    """Places (rows * columns, 2) float32 of the cells of a grid that covers one of height x width.

    Both axes are counted in cells of the second grid, from the centre of its first cell.
    """
    down = (torch.arange(rows) + 0.5) * height / rows - 0.5
    right = (torch.arange(columns) + 0.5) * width / columns - 0.5
    return torch.cartesian_prod(down, right)

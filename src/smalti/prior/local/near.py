"""Which rows and columns of a map lie in the neighbourhood of each row and column of an image."""

from collections.abc import Sequence

from torch import Tensor

from smalti.prior.local.config import Reach
from smalti.prior.local.sequence import Grid


class Near:
    """The parts of a map that an image's rows and columns see.

    Args:
        grid: the map.
        height: rows of codes of the image.
        width: columns of codes of the image.
        reach: how far cells attend.
    """

    def __init__(self, grid: Grid, height: int, width: int, reach: Reach) -> None:
        self.grid = grid
        down, right = grid.places[:, 0, 0], grid.places[0, :, 1]
        self.rows = [_within(down, row, reach.rows) for row in range(height)]
        """Of each row of the image, the rows of the map."""
        within = (_within(right, column, reach.columns) for column in range(width + 1))
        self.columns = [slice(part.start, part.stop) for part in within]
        """Of each column of the image, and the one behind it, the columns of the map."""
        self.first_above = [_within(down, float(place), reach.rows).start for place in down]
        """Of each row of the map, the first of the rows above it that it sees."""
        own = [row + 1 - first for row, first in enumerate(self.first_above)]
        self.most_rows = max(*own, *(len(rows) for rows in self.rows))
        """How many rows of the map are needed at a time."""


def _within(places: Tensor, centre: float, reach: int) -> range:
    """Numbers of the places (n,) that are at most so far from a centre; they are neighbours."""
    near: Sequence[int] = ((places - centre).abs() <= reach).nonzero().flatten().tolist()
    return range(near[0], near[-1] + 1) if near else range(0)

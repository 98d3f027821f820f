"""Keys and values of the latest rows of a grid of tokens, for all layers.

Axes: N layers, B batch, G heads of keys and values, C channels of one head, r rows, c columns.
"""

import torch
from torch import Tensor

from smalti.prior.local.sequence import Grid


class Ring:
    """Room for some rows of a grid; a new row takes the place of the oldest.

    Args:
        grid: the whole grid.
        rows: how many rows there is room for.
        shape: (N, B, G, C).
        dtype: number format of keys and values.
        device: device of keys and values.
    """

    def __init__(
        self,
        grid: Grid,
        rows: int,
        shape: tuple[int, int, int, int],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        layers, batch, heads, channels = shape
        self.grid, self.rows = grid, min(rows, len(grid.places))
        size = (layers, 2, batch, heads, self.rows, grid.columns, channels)
        self.kv = torch.zeros(size, dtype=dtype, device=device)
        """Keys, then values: (N, 2, B, G, rows, columns, C)."""

    def write(self, row: int, columns: slice, kv: Tensor) -> None:
        """Keep keys and values (N, 2, B, G, c, C) of some columns of a row."""
        self.kv[:, :, :, :, row % self.rows, columns] = kv

    def read(self, rows: range, columns: slice) -> list[Tensor]:
        """Keys and values of a rectangle, one or two times (N, 2, B, G, r * c, C).

        The first row comes first.
        """
        parts = []
        for start, stop in self._slots(rows):
            parts.append(self.kv[:, :, :, :, start:stop, columns].flatten(4, 5))
        return parts

    def _slots(self, rows: range) -> list[tuple[int, int]]:
        """Where rows lie: one range of slots, or two."""
        assert len(rows) <= self.rows, "the rows are no longer there"
        if not rows:
            return []
        start, stop = rows.start % self.rows, (rows.stop - 1) % self.rows + 1
        return [(start, stop)] if start < stop else [(start, self.rows), (0, stop)]

    def spread(self, rows: Tensor) -> None:
        """Let row i of the batch hold what row rows[i] holds."""
        self.kv = self.kv.index_select(2, rows)

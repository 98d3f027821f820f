"""Order in which rows of many shards are read in training, in memory that does not grow with them.

An epoch shuffles the shards, cuts them into windows of about a million rows, and shuffles the rows
of each window. Up to that size this is a shuffle of all rows; of larger data, every window has rows
of many shards, and few files are open at a time.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from smalti.randomness import generator_for

WINDOW_ROWS = 2**20


class Row(NamedTuple):
    """A row of a shard."""

    shard: int
    number: int


class RowOrder:
    """The rows of all shards, shuffled anew in each epoch by (seed, epoch) alone.

    Args:
        rows: number of rows of each shard, the first ones of which are read.
        seed: seed of the order.
        window_rows: rows of a window; one that a shard crosses is longer.
    """

    def __init__(self, rows: Sequence[int], seed: int, window_rows: int = WINDOW_ROWS) -> None:
        self._rows = np.array(rows, dtype=np.int64)
        self._seed, self._window_rows = seed, window_rows
        # The batch at the end of an epoch may reach into the next one.
        self._epoch_of = lru_cache(maxsize=2)(self._epoch)
        self._shuffled = lru_cache(maxsize=2)(self._shuffle)

    def __len__(self) -> int:
        return int(self._rows.sum())

    def row(self, epoch: int, place: int) -> Row:
        """The row at a place, in [0, len), of an epoch."""
        shards, starts = self._epoch_of(epoch)
        first, end = self._window(starts, place)
        place = first + int(self._shuffled(epoch, first, end)[place - first])
        position = int(np.searchsorted(starts, place, side="right")) - 1
        return Row(int(shards[position]), place - int(starts[position]))

    def _epoch(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The shards in their order, and the place at which each begins, with the end."""
        generator = generator_for(self._seed, epoch)
        shards = torch.randperm(len(self._rows), generator=generator).numpy()
        return shards, np.cumsum([0, *self._rows[shards]])

    def _window(self, starts: NDArray[np.int64], place: int) -> tuple[int, int]:
        """The first place, and the end, of the window of a place: those of whole shards.

        A window has the shards that begin within the same `window_rows` rows.
        """
        position = int(np.searchsorted(starts, place, side="right")) - 1
        number = int(starts[position]) // self._window_rows
        edges = [number * self._window_rows, (number + 1) * self._window_rows]
        first, end = np.searchsorted(starts, edges)
        return int(starts[first]), int(starts[min(int(end), len(starts) - 1)])

    def _shuffle(self, epoch: int, first: int, end: int) -> NDArray[np.int64]:
        generator = generator_for(self._seed, epoch, first)
        return torch.randperm(end - first, generator=generator).numpy()

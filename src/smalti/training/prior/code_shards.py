"""Batches of codes from the shards that `smalti encode --data` made.

The last rows of every shard are held out, so that the sides follow from the manifest alone. Images
that follow each other in the data, such as frames of a video, so stay on one side.

Axes: B batch, h/w grid of codes.
"""

from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
from numpy.typing import NDArray

from smalti.codes.order import Row, RowOrder
from smalti.codes.read import CodeShards
from smalti.conditions.conditioning import Conditioning
from smalti.data.loader import share_of_process
from smalti.data.order import positions_of_some
from smalti.data.split import MIN_IMAGES_TO_SPLIT
from smalti.distributed import rank, world_size
from smalti.training.prior.code_batch import CodeBatch, batch_of_shards

EVALUATED_SHARDS = 16
"""Shards of which rows are evaluated, if they have enough."""


class ShardSplit:
    """The training rows and the held-out rows of shards.

    Args:
        sizes: number of rows of each shard.
        held_out: share of all rows to hold out; few rows are not split.
    """

    def __init__(self, sizes: Sequence[int], held_out: float) -> None:
        share = held_out if sum(sizes) >= MIN_IMAGES_TO_SPLIT else 0.0
        # So that the shares of all shards together are exact.
        until = np.floor(np.cumsum([0, *sizes]) * share).astype(np.int64)
        self._held_out = np.diff(until)
        self.training = [size - int(out) for size, out in zip(sizes, self._held_out, strict=True)]
        """Number of training rows of each shard, which are its first."""

    @property
    def held_out(self) -> int:
        """Number of held-out rows."""
        return int(self._held_out.sum())

    def evaluated(self, most: int) -> list[Row]:
        """At most so many rows at even distances, held-out ones if there are any."""
        firsts = self.training if self.held_out else [0] * len(self.training)
        counts = self._held_out if self.held_out else np.array(self.training)
        shards = _enough(counts, most)
        starts = np.cumsum([0, *counts[shards]])
        rows = []
        for place in positions_of_some(int(starts[-1]), most):
            position = int(np.searchsorted(starts, place, side="right")) - 1
            shard = int(shards[position])
            rows.append(Row(shard, firsts[shard] + place - int(starts[position])))
        return rows


def _enough(counts: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Numbers of a few shards at even distances that have so many rows, for each must be checked.

    Args:
        counts: rows of each shard.
        most: rows that are wanted.
    """
    filled = np.flatnonzero(counts)
    number = EVALUATED_SHARDS
    while True:
        chosen = filled[positions_of_some(len(filled), number)]
        if counts[chosen].sum() >= most or number >= len(filled):
            return chosen
        number *= 2


class ShardBatches:
    """Batches of training, a function of (seed, step), and of the evaluation.

    In epoch e, row i has view (e + i) modulo the number of views.

    Args:
        shards: the codes.
        split: which rows are trained on.
        conditioning: conditions of which the shards have columns, or which follow from classes.
        batch_size: images in a batch, over all processes.
        seed: seed of the order.
        chunks: number of chunks in which a batch is computed.
    """

    def __init__(
        self,
        shards: CodeShards,
        split: ShardSplit,
        conditioning: Conditioning,
        batch_size: int,
        seed: int,
        chunks: int,
    ) -> None:
        self._shards, self._split, self._conditioning = shards, split, conditioning
        self._batch_size, self._chunks = batch_size, chunks
        self._order = RowOrder(split.training, seed)
        self._views = len(shards.manifest.encoding.views)

    def batches(self, start_step: int) -> Iterator[CodeBatch]:
        """This process's share of the batches from number `start_step` on, without end."""
        for step in count(start_step):
            drawn = share_of_process(self._places(step), self._chunks)
            rows = [self._order.row(epoch, place) for epoch, place in drawn]
            views = [
                (epoch + row.number) % self._views
                for (epoch, _), row in zip(drawn, rows, strict=True)
            ]
            yield self._batch(rows, views)

    def evaluation(self, most: int) -> list[CodeBatch]:
        """This process's share of at most so many rows to evaluate, in their first view."""
        rows = self._split.evaluated(most)
        size = self._batch_size // world_size()
        batches = [rows[start : start + size] for start in range(0, len(rows), size)]
        return [self._batch(some, [0] * len(some)) for some in batches[rank() :: world_size()]]

    def _places(self, step: int) -> list[tuple[int, int]]:
        """Epoch and place of each image of a batch; the rest of an epoch is dropped."""
        length = len(self._order)
        used = length - length % self._batch_size or length
        first = step * self._batch_size
        return [divmod(place, used) for place in range(first, first + self._batch_size)]

    def _batch(self, rows: Sequence[Row], views: Sequence[int]) -> CodeBatch:
        keys = [self._shards.name(row) for row in rows]
        return batch_of_shards(self._shards, rows, views, keys, self._conditioning)

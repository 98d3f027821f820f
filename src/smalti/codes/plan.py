"""Which images of a data set go into which shard of codes, and which process encodes it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from smalti.config import InputError
from smalti.data.dataset import ImageDataset

T = TypeVar("T")

SHARD_IMAGES = 10_000
"""Number of images in a shard by default, where the data set has no shards of its own."""


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """The images of one shard of codes."""

    number: int
    """Number of the shard, from 0."""
    source: str
    """File of the data set that holds the images; empty if each is a file of its own."""
    images: range
    """Numbers of the images in the data set."""


def plan_shards(dataset: ImageDataset, shard_images: int | None = None) -> list[PlannedShard]:
    """Divide a whole data set into shards of codes; the same data set gives the same shards.

    Each tar or Parquet file of the data set makes one shard. Where each image is a file of its own,
    shard `i` of `n` has images `i`, `i + n`, `i + 2 n` and so on, so that every shard is like the
    whole, even if the data set is sorted by classes.

    Args:
        dataset: all images of its sources that have the files of paired data.
        shard_images: most images in a shard. By default a tar or Parquet file is never divided, and
            other data is divided into shards of `SHARD_IMAGES`.
    """
    shards: list[PlannedShard] = []
    start = 0
    for source in dataset.sources:
        files = source.shards()
        if not files:
            first, last = (dataset.number_from(place) for place in (start, start + len(source)))
            pieces = -(-(last - first) // (shard_images or SHARD_IMAGES))
            parts = [range(first + piece, last, pieces) for piece in range(pieces)]
            shards += [PlannedShard(len(shards) + n, "", part) for n, part in enumerate(parts)]
        before = start
        for name, count in files:
            first, last = (dataset.number_from(place) for place in (before, before + count))
            most = shard_images or max(count, 1)
            for begin in range(first, last, most):
                end = min(begin + most, last)
                shards.append(PlannedShard(len(shards), name, range(begin, end)))
            before += count
        start += len(source)
    return shards


@dataclass(frozen=True, slots=True)
class Part:
    """The share of the work that one of several workers does; a worker is a process or a machine.

    Work is divided by a rule, so that workers need not know of each other.
    """

    number: int
    """Number of the worker, from 0."""
    count: int
    """Number of workers."""

    def of(self, shards: Sequence[T]) -> Sequence[T]:
        """The shards of this worker: every `count`-th."""
        return shards[self.number :: self.count]

    def divided(self, rank: int, world_size: int) -> "Part":
        """The share of process `rank` of the `world_size` processes that do this part together."""
        return Part(self.number * world_size + rank, self.count * world_size)


WHOLE = Part(0, 1)


def parse_part(text: str) -> Part:
    """Read a share of the work that a user names, such as 3/64, the third of 64.

    Raises:
        InputError: it is not of that form, or there is no such share.
    """
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if found is None:
        raise InputError(f"--shard must be like 3/64, the third of 64 shares, got {text!r}")
    number, count = int(found[1]), int(found[2])
    if not 1 <= number <= count:
        raise InputError(f"--shard is {text}; allowed are 1/{count} to {count}/{count}")
    return Part(number - 1, count)

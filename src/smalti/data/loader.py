"""Batches of a data set, read by any number of worker processes, from any step of a run.

The images of a batch and their crops are a function of (seed, step): nothing of the loader is
saved, and a batch does not depend on the number of workers or training processes, nor on where a
run was resumed.
"""

import shutil
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import count
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from smalti.cluster import ignore_stop_signals
from smalti.config import InputError
from smalti.data.dataset import ImageDataset, Loaded
from smalti.data.sources.base import printable
from smalti.data.workers import prepare_workers
from smalti.distributed import rank, world_size
from smalti.types import Batch, Sample
from smalti.words import counted

T = TypeVar("T")

SHARED_MEMORY = Path("/dev/shm")
"""Shared memory, through which workers send tensors on Linux; a container may have little of it."""
PREFETCHED_BATCHES = 2
"""Number of batches that each worker has ready, PyTorch's default."""
BYTES_OF_A_PIXEL = 3 * 4
"""Bytes that a pixel takes in the float32 tensor of a photograph."""


class BatchLoader:
    """Reads the batches of a data set.

    For training, each epoch is shuffled anew and cut into whole batches, and its rest is dropped.
    A data set smaller than one batch is read in a circle instead, each batch going on where the
    last one stopped. Each training process reads its share of every batch.

    Args:
        dataset: data set to read; broken images are reported to it.
        batch_size: images in a batch, over all training processes.
        seed: seed of the order; the data set has the seed of the crops.
        workers: number of processes that read and decode; with 0 this process does it.
        chunks: number of chunks in which a batch is computed one after the other. Each holds the
            same images whatever the number of training processes.
        pin_memory: put batches into page-locked memory, from which a graphics card fetches them
            while it computes.

    Raises:
        InputError: batch_size or workers is out of range.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        batch_size: int,
        seed: int,
        workers: int,
        chunks: int = 1,
        pin_memory: bool = False,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch-size is {batch_size}; allowed are 1 and more")
        if workers < 0:
            raise InputError(f"workers is {workers}; allowed are 0 and more")
        self.dataset = dataset
        self.batch_size = batch_size
        self.workers = workers
        self.chunks = chunks
        self.pin_memory = pin_memory
        # A batch needs one epoch's order at a time, a few if the data set is smaller.
        self._order = lru_cache(maxsize=2)(partial(dataset.order, seed))

    def batches(self, start_step: int) -> Generator[Batch, None, None]:
        """This process's share of training batches `start_step`, `start_step` + 1, without end.

        Close the iterator (or drop it) to stop its workers.

        Raises:
            InputError: an image is smaller than the crop and `small` is error, all images are left
                out, or the batch does not divide among the training processes.
        """
        check_shares(self.batch_size, self.chunks)
        self.check_workers()
        return self._fetch(self.share_of_draws(step) for step in count(start_step))

    def augmented_batches(
        self, numbers: Sequence[int], epochs: Iterable[int], batch_size: int
    ) -> Generator[Batch, None, None]:
        """Some training images in order, with the crops and flips of one epoch after another.

        No image is left out: in place of a broken one stands the next good one. The last batch of
        an epoch may be smaller. Without workers, a thread reads each batch while the caller
        computes with the one before.

        Args:
            numbers: numbers of the images.
            epochs: which crops and flips.
            batch_size: images in a batch, whatever the size of training batches.

        Raises:
            InputError: an image is smaller than the crop and `small` is error, all images are left
                out, or workers have too little shared memory for the batches.
        """
        self.check_workers(batch_size)
        batches = self._fetch(
            [Drawn(number, epoch) for number in numbers[start : start + batch_size]]
            for epoch in epochs
            for start in range(0, len(numbers), batch_size)
        )
        # Workers read ahead by themselves. Started by a thread of a pool, they would end with exit
        # code 1, for they would wait for that thread; PyTorch then stops the whole run.
        return batches if self.workers else read_ahead(batches)

    def evaluation_batches(self) -> Generator[Batch, None, None]:
        """Each good image once, center crop, in order; the last batch may be smaller.

        Raises:
            InputError: an image is smaller than the crop, and `small` is error.
        """
        self.check_workers()
        size, length = self.batch_size, len(self.dataset)
        return self._fetch(
            [Drawn(number, None) for number in range(start, min(start + size, length))]
            for start in range(0, length, size)
        )

    def crop_batches(
        self, numbers: Sequence[int], crops: int, batch_size: int, mirrored: bool = False
    ) -> Generator[Batch, None, None]:
        """Some images of the data set, each in one or several crops; broken ones are left out.

        The crops of an image follow each other, and are read together; see `load_crops` of the data
        set. The keys of the batches are the images' names inside their source.

        Args:
            numbers: numbers of the images.
            crops: number of crops of each image.
            batch_size: crops in a batch; those of one image are not divided.
            mirrored: whether each crop is followed by the same one mirrored, which does not count.

        Raises:
            InputError: as `augmented_batches`.
        """
        together = max(1, batch_size // crops)
        self.check_workers(together * crops * (1 + mirrored))
        jobs = (
            [Drawn(number, None) for number in numbers[start : start + together]]
            for start in range(0, len(numbers), together)
        )
        batches = self._fetch(jobs, _CropReader(self.dataset, crops, mirrored))
        return batches if self.workers else read_ahead(batches)

    def draws(self, step: int) -> list["Drawn"]:
        """The images of training batch number `step`, with their epochs."""
        length = len(self.dataset)
        # Images used of an epoch: whole batches, or all of a data set smaller than a batch.
        used = length - length % self.batch_size or length
        first = step * self.batch_size
        draws: list[Drawn] = []
        for position in range(first, first + self.batch_size):
            epoch, place = divmod(position, used)
            draws.append(Drawn(int(self._order(epoch)[place]), epoch))
        return draws

    def share_of_draws(self, step: int) -> list["Drawn"]:
        """This process's share of `draws(step)`: a piece of each chunk of the batch, by rank."""
        return share_of_process(self.draws(step), self.chunks)

    def _fetch(
        self, jobs: Iterable[list["Drawn"]], reader: "_Reader | None" = None
    ) -> Generator[Batch, None, None]:
        if self.workers:
            prepare_workers()
        fetched_batches: DataLoader[_Fetched] = DataLoader(
            reader or _Reader(self.dataset),
            sampler=jobs,
            batch_size=None,  # a job is a whole batch already
            pin_memory=self.pin_memory,
            num_workers=self.workers,
            prefetch_factor=PREFETCHED_BATCHES if self.workers else None,
            worker_init_fn=_ignore_stop_signals,
            generator=torch.Generator(),  # otherwise it would draw from the global one
        )
        for fetched in fetched_batches:
            self.dataset.report(fetched.broken)
            if fetched.error is not None:
                raise InputError(fetched.error)
            if fetched.batch is not None:
                yield fetched.batch

    def check_workers(self, batch_size: int | None = None) -> None:
        """Refuse workers whose batches do not fit into shared memory, where PyTorch waits for ever.

        Args:
            batch_size: images in a batch of a worker; None is this process's share of a training
                batch.

        Raises:
            InputError: they do not fit; the message tells how much memory they need at least.
        """
        if not self.workers or not SHARED_MEMORY.is_dir():
            return
        size = self.dataset.transform
        images = batch_size or self.batch_size // world_size()
        pixels = images * size.height_px * size.width_px
        needed = self.workers * PREFETCHED_BATCHES * pixels * BYTES_OF_A_PIXEL
        free = shutil.disk_usage(SHARED_MEMORY).free
        if free < needed:
            raise InputError(
                f"training.workers is {self.workers}, whose batches take {needed / 2**20:.0f} MiB "
                f"of shared memory, but {SHARED_MEMORY} has {free / 2**20:.0f} MiB; lower it, or "
                "give a container more (docker run --shm-size)"
            )


def check_shares(batch_size: int, chunks: int) -> None:
    """Refuse training batches that do not divide among the training processes.

    Raises:
        InputError: they do not; the message names the sizes that do.
    """
    divisor = world_size() * chunks
    if world_size() > 1 and batch_size % divisor:
        raise InputError(
            f"batch-size is {batch_size}; with {world_size()} processes and batches computed in "
            f"{counted(chunks, 'chunk')}, allowed are multiples of {divisor}"
        )


def share_of_process(draws: Sequence[T], chunks: int) -> list[T]:
    """This process's share of what a batch is made of: a piece of each of its chunks, by rank."""
    size = len(draws) // (chunks * world_size())
    if world_size() == 1:
        return list(draws)
    starts = range(rank() * size, len(draws), world_size() * size)
    return [draw for start in starts for draw in draws[start : start + size]]


class Drawn(NamedTuple):
    """One image of a batch: its sample number, and its epoch or None for the evaluation crop."""

    number: int
    epoch: int | None


@dataclass(frozen=True, slots=True)
class _Fetched:
    """What a worker sends for one batch."""

    batch: Batch | None
    """The batch; None if all images of an evaluation batch are broken, or with an error."""
    broken: dict[str, str]
    error: str | None = None
    """Message of an InputError: as text it reaches the main process without a traceback."""

    def pin_memory(self) -> "_Fetched":
        """Move the batch into page-locked memory; the DataLoader calls a method of this name."""
        if self.batch is None:
            return self
        images, labels = self.batch.images.pin_memory(), self.batch.labels
        labels = None if labels is None else labels.pin_memory()
        conditions = {kind: tensor.pin_memory() for kind, tensor in self.batch.conditions.items()}
        batch = replace(self.batch, images=images, labels=labels, conditions=conditions)
        return replace(self, batch=batch)


class _Reader(Dataset[_Fetched]):
    """The data set as the workers see it: it takes a list of draws and gives their batch."""

    def __init__(self, dataset: ImageDataset) -> None:
        self._dataset = dataset

    def __getitem__(self, job: list[Drawn]) -> _Fetched:
        samples: list[Sample] = []
        broken: dict[str, str] = {}
        try:
            for draw in job:
                for loaded in self._load(draw):
                    broken.update(loaded.broken)
                    if loaded.sample is not None:
                        samples.append(loaded.sample)
        except InputError as error:
            return _Fetched(None, broken, str(error))
        return _Fetched(stack(samples) if samples else None, broken)

    def _load(self, draw: Drawn) -> list[Loaded]:
        if draw.epoch is None:
            return [self._dataset.load_center(draw.number)]
        return [self._dataset.load(draw.number, draw.epoch)]


class _CropReader(_Reader):
    """Reads several crops of each image, under the name that the image has in its source."""

    def __init__(self, dataset: ImageDataset, crops: int, mirrored: bool) -> None:
        super().__init__(dataset)
        self._crops, self._mirrored = crops, mirrored

    def _load(self, draw: Drawn) -> list[Loaded]:
        name = printable(self._dataset.name(draw.number))
        return [
            replace(loaded, sample=loaded.sample and replace(loaded.sample, key=name))
            for loaded in self._dataset.load_crops(draw.number, self._crops, self._mirrored)
        ]


def read_ahead(batches: Iterator[T]) -> Generator[T, None, None]:
    """Read each batch in a thread while the caller computes with the one before.

    `batches` must start no processes.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        following = pool.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = pool.submit(next, batches, None)
            yield batch


def stack(samples: Sequence[Sample]) -> Batch:
    """Stack samples of the same shape and conditions into one batch."""
    images = torch.stack([sample.image for sample in samples])
    labels = [sample.label for sample in samples if sample.label is not None]
    return Batch(
        keys=[sample.key for sample in samples],
        images=images,
        labels=torch.tensor(labels, dtype=torch.int64) if labels else None,
        conditions={
            kind: torch.stack([sample.conditions[kind] for sample in samples])
            for kind in samples[0].conditions
        },
    )


def _ignore_stop_signals(_worker: int) -> None:
    # The main process finishes its step and then stops the workers; one that died before would stop
    # it in the middle of saving.
    ignore_stop_signals()

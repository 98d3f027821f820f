"""Work that is divided into shards: the options of it, and its course with each engine.

`encode_data` makes shards of codes so, and `sample_set` shards of samples.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from smalti.cli.shard_progress import ShardProgress, speed
from smalti.codes.plan import WHOLE, parse_part
from smalti.config import InputError
from smalti.distributed import from_first, patient_group, rank, together, world_size
from smalti.files import remove_leftovers
from smalti.ray_pool import Make, make_with_actors
from smalti.shard_folder import FolderKind
from smalti.words import counted

PATIENCE = timedelta(days=60)
"""How long a process that is done waits for the others."""
LEFTOVER_SECONDS = 24 * 3600.0
"""Age of a file that a killed process was writing: no process writes one for so long."""


class ShardWork(Protocol):
    """Shards that are made in a folder, each by any worker, in any order."""

    @property
    def folder(self) -> Path:
        """Folder of the shards."""

    @property
    def sizes(self) -> Sequence[int]:
        """Number of images of each shard, by its number."""

    def begin(self) -> None:
        """Note in the folder what is made there, or check that the same is.

        Raises:
            InputError: the folder holds something else, or cannot be written.
        """

    def is_finished(self, number: int) -> bool:
        """Whether a shard was made before.

        Raises:
            InputError: it was made of other images.
        """

    def use(self, device: str) -> None:
        """Move the model to the device of `--device`, and print which it is."""

    def announce(self) -> None:
        """Print what is made."""

    def make(self, number: int, on_images: Callable[[int], object]) -> int:
        """Make a shard on the device, and return the number of its images.

        Raises:
            InputError: the disk is full, or an image cannot be read.
        """


def make_shards(open_work: Callable[[], ShardWork], options: argparse.Namespace, done: str) -> None:
    """Make this process's share of the shards that are not there yet.

    Args:
        open_work: loads the model and plans the shards; picklable, as actors of Ray call it too.
        options: those of `shard_arguments`, and `device`.
        done: what became of the images, for the line about the speed: encoded.

    Raises:
        InputError: an option, the data or the folder do not allow it; finished shards are kept.
    """
    uses_ray = options.engine == "ray"
    with together():
        if uses_ray and world_size() > 1:
            raise InputError(
                "--engine ray starts its workers itself; run it once, without torchrun or srun"
            )
        part = parse_part(options.shard)
        work = open_work()
        if not uses_ray:
            work.use(options.device)
    from_first(partial(_begin, work))
    with together():
        own = part.divided(rank(), world_size()).of(range(len(work.sizes)))
        unfinished = [number for number in own if not work.is_finished(number)]
    work.announce()
    if part != WHOLE or world_size() > 1:
        print(f"share of this process: {counted(len(own), 'shard')}")
    if len(unfinished) < len(own):
        print(f"finished before: {counted(len(own) - len(unfinished), 'shard')}")
    started = time.monotonic()
    group = patient_group(PATIENCE)
    with (
        together(group),
        ShardProgress(sum(work.sizes[number] for number in unfinished)) as progress,
    ):
        if uses_ray and unfinished:
            images = _make_with_ray(open_work, unfinished, options, progress)
        else:
            images = sum(work.make(number, progress.advance) for number in unfinished)
    seconds = time.monotonic() - started
    if images:
        print(f"{done}: {counted(images, 'image')}, {speed(images, seconds)}")


def _begin(work: ShardWork) -> None:
    """Begin the folder, and remove what killed processes left there."""
    work.begin()
    remove_leftovers(work.folder, min_age_seconds=LEFTOVER_SECONDS)


def _make_with_ray(
    open_work: Callable[[], ShardWork],
    shards: Sequence[int],
    options: argparse.Namespace,
    progress: ShardProgress,
) -> int:
    """Make shards with actors; the model of this process stays unused."""
    return make_with_actors(
        partial(_begin_actor, open_work, options.device),
        shards,
        options.actors,
        options.device != "cpu",
        progress.advance,
    )


def _begin_actor(open_work: Callable[[], ShardWork], device: str) -> Make:
    """Load the model in an actor, which may be on another machine, and check what it sees there."""
    work = open_work()
    work.begin()
    work.use(device)
    return lambda number: work.make(number, lambda _images: None)


def check_hashes(kind: FolderKind[Any, Any], folder: Path) -> None:
    """Compare the files of all shards of a folder with their records, before they are joined.

    Raises:
        InputError: a shard is missing, or is not the one that was written, or the folder holds no
            shards of the kind.
    """
    description = kind.read_description(folder)
    print(f"checking the hashes of {counted(len(description.names), 'shard')}")
    kind.check_hashes(folder, description, description.names)


def is_divided(options: argparse.Namespace) -> bool:
    """Whether another command must join the shards, as this one makes some of them only."""
    return parse_part(options.shard) != WHOLE


def say_how_to_join(options: argparse.Namespace, command: str, folder: Path, missing: int) -> None:
    """Print what to run when the other shares of the work are done, too."""
    count = parse_part(options.shard).count
    print(f"done: share {options.shard}; {counted(missing, 'shard')} not there yet")
    print(f"next: {command} --join --out {folder}, when all {count} shares are done")

"""`smalti encode MODEL --data SRC`: encodes whole data sets into a folder of shards."""

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Self

from tqdm import tqdm

from smalti.cli.output import to_device
from smalti.codes.encode import (
    EncodingJob,
    ViewEncoder,
    encode_shard,
    encoding_of,
    finished,
    views_of,
)
from smalti.codes.manifest import begin_folder, join, missing_shards
from smalti.codes.plan import Part, PlannedShard, parse_part, plan_shards
from smalti.codes.shard_files import check_format
from smalti.config import InputError
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.loader import BatchLoader
from smalti.data.sources import open_source
from smalti.data.summary import check_sizes
from smalti.distributed import from_first, patient_group, rank, together, world_size
from smalti.files import remove_leftovers
from smalti.runs.state import read_config
from smalti.tokenizer.base import Tokenizer
from smalti.tokenizer.load import load_tokenizer
from smalti.words import counted

PATIENCE = timedelta(days=60)
"""How long a process that is done waits for the others."""
LEFTOVER_SECONDS = 24 * 3600.0
"""Age of a file that a killed process was writing: no process writes one for so long."""
LINE_SECONDS = 30.0
"""Seconds between two lines of progress where there is no terminal."""


def encode_data(options: argparse.Namespace, folder: Path) -> None:
    """Encode this process's share of the shards, and write the manifest if none is missing.

    Raises:
        InputError: an option, the data or the folder do not allow it; finished shards are kept.
    """
    with together():
        part = parse_part(options.shard)
        check_format(options.format)
        job, shards = _prepare(options, folder)
    from_first(lambda: _begin(job))
    with together():
        unfinished = _unfinished(job, part.divided(rank(), world_size()).of(shards))
    _announce(job, shards, part, unfinished)
    started = time.monotonic()
    group = patient_group(PATIENCE)
    with together(group), Progress(sum(len(one.images) for one in unfinished)) as progress:
        images = sum(encode_shard(job, one, progress.advance).images for one in unfinished)
    seconds = time.monotonic() - started
    if images:
        print(f"encoded: {counted(images, 'image')}, {images / seconds:.1f} a second")
    from_first(lambda: _finish(options, folder, part))


def _prepare(options: argparse.Namespace, folder: Path) -> tuple[EncodingJob, list[PlannedShard]]:
    """Open model and data, and plan the shards."""
    tokenizer = load_tokenizer(options.model)
    dataset = _open_data(options, tokenizer)
    shards = plan_shards(dataset, options.shard_images)
    views = views_of(options.crops, options.flip)
    encoding = encoding_of(tokenizer, dataset, views, options.format, shards)
    loader = BatchLoader(dataset, options.batch_size, options.seed, options.workers)
    device = to_device(tokenizer, options.device)
    encoder = ViewEncoder(tokenizer, device, views)
    return EncodingJob(folder, encoding, loader, options.batch_size, encoder), shards


def _open_data(options: argparse.Namespace, tokenizer: Tokenizer) -> ImageDataset:
    """Open the data, read at the size and in the way of the tokenizer's run unless options say.

    Raises:
        InputError: a source does not exist, is empty or lacks classes, there is no run to say the
            size, or an image is too small.
    """
    trained = read_config(Path(options.model))
    if trained is None and options.size is None:
        raise InputError(f"{options.model} is no run that says the size of images; give --size")
    image = TransformConfig() if trained is None else trained.image
    changed = {"size": options.size, "small": options.small}
    changed = {name: value for name, value in changed.items() if value is not None}
    image = image.model_copy(update=changed | {"crop": "random", "flip": False})
    part = tokenizer.content.part
    sources = [open_source(spec, options.classes, part) for spec in options.data]
    dataset = ImageDataset(sources, image, options.seed, content=tokenizer.content)
    check_sizes(dataset)
    return dataset


def _begin(job: EncodingJob) -> None:
    """Note in the folder how it is encoded, and remove what killed processes left there."""
    begin_folder(job.folder, job.encoding)
    remove_leftovers(job.folder, min_age_seconds=LEFTOVER_SECONDS)


def _unfinished(job: EncodingJob, shards: Sequence[PlannedShard]) -> list[PlannedShard]:
    return [shard for shard in shards if finished(job, shard) is None]


def _announce(
    job: EncodingJob,
    shards: Sequence[PlannedShard],
    part: Part,
    unfinished: Sequence[PlannedShard],
) -> None:
    """Print what is encoded, and how much of it is left."""
    encoding = job.encoding
    height, width = encoding.size
    print(
        f"data: {counted(encoding.images, 'image')} in {counted(len(shards), 'shard')}; crops of "
        f"{height}x{width}, {counted(len(encoding.views), 'view')} of each"
    )
    mine = len(part.divided(rank(), world_size()).of(shards))
    if part.count > 1 or world_size() > 1:
        print(f"share of this process: {counted(mine, 'shard')}")
    if len(unfinished) < mine:
        print(f"finished before: {counted(mine - len(unfinished), 'shard')}")


class Progress:
    """Shows images a second and the time left: a bar, or lines where there is no terminal.

    Args:
        images: number of images that this process encodes.
    """

    def __init__(self, images: int) -> None:
        is_bar = sys.stderr.isatty()
        self._bar = tqdm(
            total=images, unit="image", dynamic_ncols=True, disable=not is_bar or rank() > 0
        )
        self._is_bar, self._done, self._total = is_bar, 0, images
        self._started = self._printed = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._bar.close()

    def advance(self, images: int) -> None:
        """Count images that were encoded, and say now and then how far it is."""
        self._bar.update(images)
        self._done += images
        now = time.monotonic()
        if self._is_bar or now - self._printed < LINE_SECONDS:
            return
        self._printed = now
        rate = self._done / (now - self._started)
        left = tqdm.format_interval((self._total - self._done) / rate)
        print(f"{self._done:,} of {self._total:,} images, {rate:.1f} a second, {left} left")


def _finish(options: argparse.Namespace, folder: Path, part: Part) -> None:
    """Write the manifest, or say what to run when other workers are done."""
    missing = len(missing_shards(folder))
    if missing and part.count > 1:
        print(f"done: share {options.shard}; {counted(missing, 'shard')} not there yet")
        print(f"next: smalti encode --join --out {folder}, when all {part.count} shares are done")
        return
    join_folder(folder)
    if options.format == "safetensors":
        print(f"next: smalti train prior --codes {folder} --vqgan {options.model}")


def join_folder(folder: Path) -> None:
    """Write the manifest of a folder, and print what is in it.

    Raises:
        InputError: a shard is missing, or the folder holds no codes.
    """
    manifest = join(folder)
    height, width = manifest.encoding.grid
    print(
        f"done: codes of {counted(manifest.images, 'image')} in "
        f"{counted(len(manifest.shards), 'shard')}, grids of {height}x{width} in "
        f"[0, {manifest.encoding.codebook_size}), in {folder}"
    )
    if manifest.left_out:
        print(f"left out: {counted(manifest.left_out, 'image')}, broken or too small")

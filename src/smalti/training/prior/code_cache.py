"""The codes of its images that a run makes by itself, once, before it trains on them.

They are shards as `smalti encode --data` makes them (docs/codes.md), which all processes of the run
make together. Column `codes_v`, view v, has the crops and flips of epoch v. With as many views as
epochs, training from the cache equals encoding at each step; with fewer, epochs take views in turn.

Each image has a row, in the data set's order: that of a broken one has the codes of the next good
one, which training would read in its place.

Axes: N images.
"""

import contextlib
import logging
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from smalti.codes.encode import EncodingJob, condition_columns, encode_shard, finished
from smalti.codes.manifest import (
    ENCODING_FILE,
    Encoding,
    View,
    begin_folder,
    join,
    stored_encoding,
)
from smalti.codes.order import Row
from smalti.codes.plan import PlannedShard
from smalti.codes.read import CodeShards
from smalti.codes.shard_files import Columns
from smalti.conditions.conditioning import Conditioning
from smalti.config import InputError
from smalti.data.config import TransformConfig
from smalti.data.loader import BatchLoader, Drawn
from smalti.data.sources.base import printable
from smalti.distributed import from_first, gather_objects, patient_group, rank, together, world_size
from smalti.files import disk_errors, remove_leftovers, system_lock
from smalti.shard_folder import MANIFEST_FILE
from smalti.tokenizer.base import encoded_together
from smalti.training.log import say
from smalti.training.prior.code_batch import BatchEncoder, CodeBatch, CodeCache, batch_of_shards
from smalti.training.prior.condition_columns import columns_of
from smalti.training.prior.former_cache import FormerCache, is_former, is_made_so
from smalti.weights import weights_hash
from smalti.words import counted

MOST_SHARDS = 256
"""Number of shards of large data: few enough that the files of all stay open."""
LEAST_IMAGES = 64
"""Images of a shard at least; several shards let several processes encode a small data set."""

PATIENCE = timedelta(days=2)
"""How long processes wait for each other's share of a large data set, or for another run."""

log = logging.getLogger(__name__)


def load_or_encode(
    folder: Path, loader: BatchLoader, encoder: BatchEncoder, views: int
) -> CodeCache:
    """Load the codes of a data set, or encode them if data, tokenizer or crops have changed.

    All processes encode shards. Finished ones are skipped, so that a run that was killed goes on.

    Args:
        folder: folder of the codes.
        loader: loader of the training images.
        encoder: encoder of images and conditions.
        views: number of random crops and flips of each image.

    Raises:
        InputError: the folder holds something else or damaged codes, or cannot be written.
    """
    with contextlib.ExitStack() as held:

        def begin() -> Encoding | None:
            held.enter_context(_alone_at(folder))
            return _begin(folder, loader, encoder, views)

        encoding = from_first(begin, PATIENCE)
        if encoding is None:
            with together():
                return FormerCache(folder, loader, encoder.tokenizer.codebook_size)
        batch_size = _images_together(loader)
        _encode_missing(EncodingJob(folder, encoding, loader, batch_size, ViewByView(encoder)))
        with together():
            return ShardCache(CodeShards(folder), loader, encoder.conditioning)


def check_cache_folder(folder: Path) -> None:
    """Refuse a folder that holds something else than codes of a run.

    Raises:
        InputError: it holds other files, or codes of `smalti encode`.
    """
    if is_former(folder):
        return
    encoding = stored_encoding(folder)
    if encoding is None and folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty and not a cache of codes")
    if encoding is not None and encoding.data is None:
        raise InputError(f"{folder} holds codes of smalti encode; --codes {folder} trains on them")


class ShardCache(CodeCache):
    """Codes in shards, of which each image of the data set has a row.

    Args:
        shards: the codes.
        loader: the loader whose order training follows.
        conditioning: conditions of the prior.
    """

    def __init__(self, shards: CodeShards, loader: BatchLoader, conditioning: Conditioning) -> None:
        super().__init__(loader)
        self.shards, self._conditioning = shards, conditioning
        self._starts = np.cumsum([0, *shards.sizes])

    def row(self, number: int) -> Row:
        """The row of an image."""
        shard = int(np.searchsorted(self._starts, number, side="right")) - 1
        return Row(shard, number - int(self._starts[shard]))

    def _batch(self, draws: Sequence[Drawn], keys: Sequence[str]) -> CodeBatch:
        count = len(self.shards.manifest.encoding.views)
        rows = [self.row(draw.number) for draw in draws]
        views = [(draw.epoch or 0) % count for draw in draws]
        return batch_of_shards(self.shards, rows, views, keys, self._conditioning)


@contextlib.contextmanager
def _alone_at(folder: Path) -> Iterator[None]:
    """Context that waits for other runs which encode into the same folder, and locks them out."""
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f".{folder.name}.lock")
    with contextlib.ExitStack() as held:
        if held.enter_context(system_lock(lock)) is False:
            say(f"waiting for another run that encodes into {folder}")
            held.enter_context(system_lock(lock, wait=True))
        yield


def _begin(folder: Path, loader: BatchLoader, encoder: BatchEncoder, views: int) -> Encoding | None:
    """Prepare a folder, and say how its codes are made; None if it has those of a former version.

    Codes that were made otherwise are deleted.
    """
    check_cache_folder(folder)
    was_former = is_former(folder)
    if was_former and is_made_so(folder, loader, encoder, views):
        return None
    wanted = _encoding_of(loader, encoder, views)
    if was_former or stored_encoding(folder) not in (None, wanted):
        log.info("%s: data, tokenizer or crops changed; encoding anew", folder)
        _clear(folder, last=MANIFEST_FILE if was_former else ENCODING_FILE)
    begin_folder(folder, wanted)
    remove_leftovers(folder)
    return wanted


def _clear(folder: Path, last: str) -> None:
    """Delete what is in a folder; the file `last`, by which the folder is known, in the end."""
    with disk_errors(folder):
        for path in sorted(folder.iterdir(), key=lambda path: path.name == last):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _encoding_of(loader: BatchLoader, encoder: BatchEncoder, views: int) -> Encoding:
    """Everything that decides the codes."""
    dataset, transform, tokenizer = loader.dataset, loader.dataset.transform, encoder.tokenizer
    return Encoding.model_validate(
        {
            "tokenizer": weights_hash(tokenizer),
            "codebook_size": tokenizer.codebook_size,
            "downsampling_factor": tokenizer.downsampling_factor,
            "size": (transform.height_px, transform.width_px),
            "resize_px": transform.resize_px,
            # Small images that are skipped and those that end the run have no codes alike.
            "small": "enlarge" if transform.small == "enlarge" else "error",
            "seed": dataset.seed,
            "views": tuple(_view(number, transform) for number in range(views)),
            "classes": dataset.class_names,
            "conditions": columns_of(encoder.conditioning),
            "data": dataset.fingerprint(),
            "file_format": "safetensors",
            "images": len(dataset),
            "shards": len(_plan(loader)),
        }
    )


def _view(number: int, transform: TransformConfig) -> View:
    crop = number if transform.crop == "random" else "center"
    return View(column=f"codes_{number}", crop=crop, flip="random" if transform.flip else False)


def _images_together(loader: BatchLoader) -> int:
    return encoded_together(loader.dataset.transform.height_px, loader.dataset.transform.width_px)


def _plan(loader: BatchLoader) -> list[PlannedShard]:
    """Divide the images, in their order, into shards of whole batches.

    So the same images are encoded together whatever the number of shards.
    """
    length, batch = len(loader.dataset), _images_together(loader)
    batches = -(-max(LEAST_IMAGES, -(-length // MOST_SHARDS)) // batch)
    starts = range(0, length, batches * batch)
    return [
        PlannedShard(number, "", range(start, min(start + starts.step, length)))
        for number, start in enumerate(starts)
    ]


def _encode_missing(job: EncodingJob) -> None:
    """Encode the shards that are missing, in all processes, and write the manifest."""
    shards = _plan(job.loader)
    missing = from_first(lambda: [one.number for one in shards if finished(job, one) is None])
    if missing:
        _announce(job, len(shards), len(missing))
        mine = [shards[number] for number in missing[rank() :: world_size()]]
        images = sum(len(shard.images) for shard in mine) * len(job.encoding.views)
        group = patient_group(PATIENCE)
        with together(group), _progress(images) as advance:
            for shard in mine:
                encode_shard(job, shard, advance)
        for broken in gather_objects(job.loader.dataset.broken):
            job.loader.dataset.report(broken)
    from_first(lambda: join(job.folder))


def _announce(job: EncodingJob, shards: int, missing: int) -> None:
    views, images = counted(len(job.encoding.views), "crop"), counted(job.encoding.images, "image")
    say(f"encoding {views} of each of {images} (codes.views)")
    if missing < shards:
        say(f"finished before: {shards - missing} of {counted(shards, 'shard')}")


@contextlib.contextmanager
def _progress(images: int) -> Iterator[Callable[[int], object]]:
    """Context with a bar of the images of process 0, and the function that moves it."""
    with tqdm(
        total=images,
        unit="image",
        desc="encoding",
        dynamic_ncols=True,
        disable=None if rank() == 0 else True,
    ) as bar:
        yield bar.update


@dataclass(frozen=True, slots=True)
class ViewByView:
    """Encodes the images of a shard one view after the other, as an epoch of training reads them.

    An image that is read again for each view costs time, but images that are encoded together are
    of one epoch: rounding differs a little between batches.
    """

    encoder: BatchEncoder

    def columns(
        self, job: EncodingJob, images: range, on_images: Callable[[int], object]
    ) -> Columns:
        """All views of images and their conditions, and their classes."""
        encoding, dataset = job.encoding, job.loader.dataset
        dtype = getattr(torch, encoding.dtype)
        labels: list[Tensor] = []
        chunks: dict[str, list[Tensor]] = defaultdict(list)
        epochs = range(len(encoding.views))
        batches_of_view = -(-len(images) // job.batch_size)
        batches = job.loader.augmented_batches(images, epochs, job.batch_size)
        for number, batch in enumerate(batches):
            view = encoding.views[number // batches_of_view]
            codes = self.encoder.encode(batch)
            columns = {view.column: codes.codes.to(dtype)}
            columns |= condition_columns(codes.conditions, encoding, view)
            for column, rows in columns.items():
                chunks[column].append(rows)
            if batch.labels is not None and number < batches_of_view:
                labels.append(batch.labels.to(torch.int32))
            on_images(len(batch.keys))
        return Columns(
            keys=[printable(dataset.name(number)) for number in images],
            labels=torch.cat(labels) if labels else None,
            codes={column: torch.cat(rows) for column, rows in chunks.items()},
        )

"""Encodes a data set into shards of codes: `encode_shard`, the unit of work of every engine.

A process, a job of a cluster or an actor needs the same `EncodingJob`, and numbers of shards. No
shard depends on another, a finished shard is not made again, and two workers that make the same
shard write the same file.

Axes: B images, C crops of an image, H/W size of a crop in pixels, h/w grid of codes.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from smalti.codes.manifest import CODES, Encoding, ShardRecord, View
from smalti.codes.plan import PlannedShard
from smalti.codes.shard_files import Columns, write_shard
from smalti.config import InputError
from smalti.data.dataset import ImageDataset
from smalti.data.loader import BatchLoader
from smalti.data.sources.base import name_bytes
from smalti.files import atomic_file, sha256
from smalti.shard_folder import write_record
from smalti.tokenizer.base import Tokenizer
from smalti.types import Batch
from smalti.weights import weights_hash


@dataclass(frozen=True, slots=True)
class EncodingJob:
    """A data set that is encoded into a folder."""

    folder: Path
    """Folder of the codes; `manifest.begin_folder` has made it."""
    encoding: Encoding
    loader: BatchLoader
    """Loader of the data set."""
    batch_size: int
    """Crops that are encoded together."""
    encoder: "ShardEncoder"


class ShardEncoder(Protocol):
    """Makes the content of a shard."""

    def columns(
        self, job: EncodingJob, images: range, on_images: Callable[[int], object]
    ) -> Columns:
        """Read and encode the images of a shard.

        Args:
            job: what is encoded.
            images: numbers of the images in the data set of the job.
            on_images: called with the number of images in each batch that was encoded.
        """


@dataclass(frozen=True, slots=True)
class ViewEncoder:
    """Encodes batches of crops into the columns of a shard."""

    tokenizer: Tokenizer
    device: torch.device
    """Device of the tokenizer."""
    views: Sequence[View]

    @property
    def crops(self) -> int:
        """C, number of crops of each image that a batch must hold."""
        return len({view.crop for view in self.views})

    def encode(self, batch: Batch) -> dict[str, Tensor]:
        """Codes (B, h, w) int64 of each view by its column, on the CPU.

        Args:
            batch: B C crops, those of an image following each other.
        """
        images = batch.images.to(self.device)
        columns: dict[str, Tensor] = {}
        for flip in sorted({view.flip for view in self.views}):
            codes = self.tokenizer.encode(images.flip(-1) if flip else images).cpu()
            views = [view for view in self.views if view.flip == flip]
            columns |= {view.column: codes[crop :: self.crops] for crop, view in enumerate(views)}
        return columns

    def columns(
        self, job: EncodingJob, images: range, on_images: Callable[[int], object]
    ) -> Columns:
        """All views of images, each of which is read once; broken ones are left out."""
        encoding, crops = job.encoding, self.crops
        dtype = getattr(torch, encoding.dtype)
        keys: list[str] = []
        labels: list[Tensor] = []
        chunks: dict[str, list[Tensor]] = defaultdict(list)
        for batch in job.loader.crop_batches(images, crops, job.batch_size):
            for column, codes in self.encode(batch).items():
                chunks[column].append(codes.to(dtype))
            keys += batch.keys[::crops]
            if batch.labels is not None:
                labels.append(batch.labels[::crops].to(torch.int32))
            on_images(len(batch.keys) // crops)
        none = torch.zeros((0, *encoding.grid), dtype=dtype)
        return Columns(
            keys=keys,
            labels=None if encoding.classes is None else torch.cat([*labels, _NO_LABELS]),
            codes={view.column: torch.cat([*chunks[view.column], none]) for view in encoding.views},
        )


def views_of(crops: int, flip: bool) -> tuple[View, ...]:
    """The views of each image: the center crop or several random ones, each also mirrored."""
    kinds = [(crop, flipped) for crop in range(crops) for flipped in (False, True)[: 1 + flip]]
    return tuple(
        View(column=f"codes_{number}", crop="center" if crops == 1 else crop, flip=flipped)
        for number, (crop, flipped) in enumerate(kinds)
    )


def encoding_of(
    tokenizer: Tokenizer,
    dataset: ImageDataset,
    views: Sequence[View],
    file_format: str,
    shards: Sequence[PlannedShard],
) -> Encoding:
    """Describe how a data set is encoded.

    Raises:
        InputError: the size of the crops does not divide into codes.
    """
    transform, factor = dataset.transform, tokenizer.downsampling_factor
    height, width = transform.height_px, transform.width_px
    if height % factor or width % factor:
        raise InputError(f"--size {height}x{width}: both sides must be multiples of {factor}")
    return Encoding.model_validate(
        {
            "tokenizer": weights_hash(tokenizer),
            "codebook_size": tokenizer.codebook_size,
            "downsampling_factor": factor,
            "size": (height, width),
            "resize_px": transform.resize_px,
            "small": transform.small,
            "seed": dataset.seed,
            "views": tuple(views),
            "classes": dataset.class_names,
            "file_format": file_format,
            "images": len(dataset),
            "shards": len(shards),
        }
    )


def finished(job: EncodingJob, shard: PlannedShard) -> ShardRecord | None:
    """The record of a shard that was made before, or None.

    Raises:
        InputError: it was made of other images.
    """
    record = CODES.read_record(job.folder, shard.number)
    if record is None:
        return None
    if record.names_sha256 != _names_hash(job.loader.dataset, shard):
        raise InputError(
            f"{job.folder / record.file} was made of other images than the data has now; choose a "
            "new folder"
        )
    return record


def encode_shard(
    job: EncodingJob,
    shard: PlannedShard,
    on_images: Callable[[int], object] = lambda _images: None,
) -> ShardRecord:
    """Encode the images of one shard and write it, whole or not at all; or find it finished.

    The file is written beside its place and renamed, then its record. A process that is killed
    leaves the shard as it was.

    Args:
        job: what is encoded, by which model, into which folder.
        shard: one of `plan_shards`.
        on_images: called with the number of images in each batch that was encoded.

    Returns:
        The record, also in the folder as `shard-NUMBER.json`.

    Raises:
        InputError: the disk is full, an image is smaller than the crop and `small` is error, or the
            shard was made of other images.
    """
    found = finished(job, shard)
    if found is not None:
        return found
    columns = job.encoder.columns(job, shard.images, on_images)
    path = job.folder / job.encoding.name_of(shard.number)
    with atomic_file(path) as temporary:
        write_shard(temporary, columns, job.encoding)
        size, digest = temporary.stat().st_size, sha256(temporary)
    record = ShardRecord(
        file=path.name,
        images=len(columns.keys),
        left_out=len(shard.images) - len(columns.keys),
        bytes=size,
        sha256=digest,
        source=shard.source,
        names_sha256=_names_hash(job.loader.dataset, shard),
        tokenizer=job.encoding.tokenizer,
    )
    write_record(job.folder, shard.number, record)
    return record


_NO_LABELS = torch.zeros(0, dtype=torch.int32)


def _names_hash(dataset: ImageDataset, shard: PlannedShard) -> str:
    digest = hashlib.sha256()
    for number in shard.images:
        digest.update(name_bytes(dataset.name(number)) + b"\0")
    return digest.hexdigest()

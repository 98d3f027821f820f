"""Encodes a data set into shards of codes: `encode_shard`, the unit of work of every engine.

A process, a job of a cluster or an actor needs the same `EncodingJob`, and numbers of shards. No
shard depends on another, a finished shard is not made again, and two workers that make the same
shard write the same file.

Axes: B images, C crops and V views of an image, N rows of a shard, H/W size of a crop in pixels,
h/w grid of codes.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from smalti.codes.manifest import CODES, ConditionColumns, Encoding, ShardRecord, View
from smalti.codes.plan import PlannedShard
from smalti.codes.shard_files import Columns, store_shard
from smalti.config import InputError
from smalti.data.dataset import ImageDataset
from smalti.data.loader import BatchLoader
from smalti.data.sources.base import name_bytes
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


class ConditionEncoder(Protocol):
    """Encodes the conditions of images, as the conditioning of a prior does."""

    def batch_values(self, batch: Batch) -> dict[str, Tensor]:
        """Values (B, ...) by kind of the conditions that a batch has."""

    def encode(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Codes (B, ...) by kind of values (B, ...) by kind."""

    def blank(self, count: int) -> dict[str, Tensor]:
        """Codes (count, ...) of zeros by kind."""


@dataclass(frozen=True, slots=True)
class ViewEncoder:
    """Encodes images and their conditions into the columns of a shard."""

    tokenizer: Tokenizer
    device: torch.device
    """Device of all tokenizers."""
    views: Sequence[View]
    """Views of each image, as `views_of` makes them."""
    conditioning: ConditionEncoder | None = None
    """Encoder of the conditions; None if there are none."""

    @property
    def crops(self) -> int:
        """C, number of crops of each image."""
        return len({view.crop for view in self.views})

    @property
    def is_mirrored(self) -> bool:
        """Whether each crop is also encoded mirrored."""
        return any(view.flip for view in self.views)

    def encode(self, batch: Batch, encoding: Encoding) -> dict[str, Tensor]:
        """The columns (B, ...) of B images, on the CPU.

        Args:
            batch: B V samples, V views of each image.
            encoding: the encoding, with the columns of conditions.
        """
        columns: dict[str, Tensor] = {}
        samples = torch.arange(len(batch.keys)).view(-1, len(self.views))
        for flip in (False, True)[: 1 + self.is_mirrored]:
            numbers = [n for n, view in enumerate(self.views) if view.flip == flip]
            some = _samples(batch, samples[:, numbers].flatten(), self.device)
            codes = self.tokenizer.encode(some.images).cpu()
            conditions = {}
            if self.conditioning is not None:
                conditions = self.conditioning.encode(self.conditioning.batch_values(some))
            for position, number in enumerate(numbers):
                view, rows = self.views[number], slice(position, None, len(numbers))
                columns[view.column] = codes[rows].to(getattr(torch, encoding.dtype))
                of_view = {kind: found[rows].cpu() for kind, found in conditions.items()}
                columns |= condition_columns(of_view, encoding, view)
        return columns

    def columns(
        self, job: EncodingJob, images: range, on_images: Callable[[int], object]
    ) -> Columns:
        """All views of images, each of which is read once; broken ones are left out."""
        encoding, views = job.encoding, len(self.views)
        keys: list[str] = []
        labels: list[Tensor] = []
        chunks = {name: [rows] for name, rows in self._no_rows(encoding).items()}
        batches = job.loader.crop_batches(images, self.crops, job.batch_size, self.is_mirrored)
        for batch in batches:
            for column, rows in self.encode(batch, encoding).items():
                chunks[column].append(rows)
            keys += batch.keys[::views]
            if batch.labels is not None:
                labels.append(batch.labels[::views].to(torch.int32))
            on_images(len(batch.keys) // views)
        return Columns(
            keys=keys,
            labels=None if encoding.classes is None else torch.cat([*labels, _NO_LABELS]),
            codes={column: torch.cat(rows) for column, rows in chunks.items()},
        )

    def _no_rows(self, encoding: Encoding) -> dict[str, Tensor]:
        """The columns of a shard whose images are all broken."""
        conditions = {} if self.conditioning is None else self.conditioning.blank(0)
        columns: dict[str, Tensor] = {}
        for view in self.views:
            columns[view.column] = torch.zeros(
                (0, *encoding.grid), dtype=getattr(torch, encoding.dtype)
            )
            columns |= condition_columns(conditions, encoding, view)
        return columns


def condition_columns(
    conditions: Mapping[str, Tensor], encoding: Encoding, view: View
) -> dict[str, Tensor]:
    """Codes (N, ...) of conditions by the names of their columns, in their number formats.

    Args:
        conditions: codes (N, ...) by kind; those without a column are left out.
        encoding: the encoding, with the columns of conditions.
        view: the view of the images.
    """
    return {
        view.column_of(kind): conditions[kind].to(getattr(torch, column.dtype))
        for kind, column in encoding.conditions.items()
    }


def _samples(batch: Batch, numbers: Tensor, device: torch.device) -> Batch:
    """Some samples of a batch, on a device."""
    return Batch(
        keys=[batch.keys[number] for number in numbers.tolist()],
        images=batch.images[numbers].to(device),
        labels=None if batch.labels is None else batch.labels[numbers].to(device),
        conditions={kind: value[numbers].to(device) for kind, value in batch.conditions.items()},
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
    conditions: Mapping[str, ConditionColumns] | None = None,
) -> Encoding:
    """Describe how a data set is encoded.

    Args:
        tokenizer: tokenizer of the images.
        dataset: the images.
        views: views of each image.
        file_format: format of the shards.
        shards: all shards.
        conditions: the conditions that have columns, by kind; None if there are none.

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
            "conditions": conditions or {},
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
    stored = store_shard(path, columns, job.encoding)
    record = ShardRecord(
        file=path.name,
        images=len(columns.keys),
        left_out=len(shard.images) - len(columns.keys),
        bytes=stored.bytes,
        sha256=stored.sha256,
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

"""Writes a shard of codes as safetensors, Parquet or a WebDataset tar.

Axes: N images of the shard, h/w grid of codes.
"""

import io
import math
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smalti.codes.manifest import Encoding, FileFormat
from smalti.config import InputError
from smalti.files import atomic_file, json_text, sha256
from smalti.model_folder import write_tensors

KEYS, KEY_ENDS, LABELS = "keys", "key_ends", "labels"  # tensors of safetensors
KEY, LABEL = "key", "label"  # columns of Parquet
SHAPE = "shape"
"""What each column of codes of a Parquet file has beside it: the shape of a row, [h, w]."""
ROW_GROUP = 1024
"""Rows of a Parquet file that are stored together."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The content of a shard."""

    keys: Sequence[str]
    """Name of each image in its source."""
    labels: Tensor | None
    """Class numbers (N,) int32, or None without classes."""
    codes: Mapping[str, Tensor]
    """Columns of codes (N, ...), those of views (N, h, w) in the number format of the encoding."""


@dataclass(frozen=True, slots=True)
class StoredShard:
    """A file that was written."""

    bytes: int
    """Its size."""
    sha256: str


def store_shard(path: Path, columns: Columns, encoding: Encoding) -> StoredShard:
    """Write a shard beside its place, and rename it when it is whole.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    with atomic_file(path) as temporary:
        write_shard(temporary, columns, encoding)
        return StoredShard(temporary.stat().st_size, sha256(temporary))


def write_shard(path: Path, columns: Columns, encoding: Encoding) -> None:
    """Write a shard in the format of an encoding; the same columns give the same bytes.

    Raises:
        OSError: the disk refused.
    """
    WRITERS[encoding.file_format](path, columns, metadata_of(encoding))


def metadata_of(encoding: Encoding) -> dict[str, str]:
    """What each shard says of its codes, for readers that have no manifest: one text of JSON.

    It is one, because safetensors writes several in any order.
    """
    description = {
        "codebook_size": encoding.codebook_size,
        "downsampling_factor": encoding.downsampling_factor,
        "grid": encoding.grid,
        "tokenizer": encoding.tokenizer,
    }
    return {"smalti-codes": json_text(description)}


def write_safetensors(path: Path, columns: Columns, metadata: Mapping[str, str]) -> None:
    """Write tensors: each column of codes, `labels`, and the keys.

    `keys` holds the UTF-8 bytes of all keys, one after the other, and `key_ends` (N,) int64 where
    each ends.
    """
    texts = [key.encode() for key in columns.keys]
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    tensors = {name: codes.contiguous() for name, codes in columns.codes.items()}
    tensors[KEYS] = torch.from_numpy(np.frombuffer(b"".join(texts), np.uint8).copy())
    tensors[KEY_ENDS] = torch.from_numpy(ends)
    if columns.labels is not None:
        tensors[LABELS] = columns.labels
    write_tensors(path, tensors, dict(metadata))


def split_keys(text: NDArray[np.uint8], ends: NDArray[np.int64]) -> list[str]:
    """The keys of the tensors `keys` and `key_ends` (N,) of a shard."""
    together, until = text.tobytes(), ends.tolist()
    starts = [0, *until[:-1]]
    return [together[start:end].decode() for start, end in zip(starts, until, strict=False)]


def write_parquet(path: Path, columns: Columns, metadata: Mapping[str, str]) -> None:
    """Write rows with `key`, `label`, and each grid of codes as a list of its rows' numbers.

    The field of a column of codes has metadata with the shape of a row.
    """
    import pyarrow as pa
    import pyarrow.parquet

    arrays: dict[str, Any] = {KEY: pa.array(columns.keys, pa.string())}
    shapes: dict[str, dict[str, str]] = {}
    if columns.labels is not None:
        arrays[LABEL] = pa.array(columns.labels.numpy())
    for name, codes in columns.codes.items():
        flat = codes.contiguous().numpy().reshape(-1)
        arrays[name] = pa.FixedSizeListArray.from_arrays(pa.array(flat), math.prod(codes.shape[1:]))
        shapes[name] = {SHAPE: json_text(list(codes.shape[1:]))}
    fields = [pa.field(name, one.type, metadata=shapes.get(name)) for name, one in arrays.items()]
    table = pa.table([*arrays.values()], pa.schema(fields, dict(metadata)))
    pyarrow.parquet.write_table(table, path, row_group_size=ROW_GROUP)


def write_tar(path: Path, columns: Columns, metadata: Mapping[str, str]) -> None:
    """Write a WebDataset tar: for each image a `.npy` of each grid, `.cls`, and `.json`.

    The `.json` holds the key.
    """
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for row, key in enumerate(columns.keys):
            name = f"{row:09d}"
            add_member(tar, f"{name}.json", json_text({KEY: key, **metadata}).encode())
            if columns.labels is not None:
                add_member(tar, f"{name}.cls", str(int(columns.labels[row])).encode())
            for column, codes in columns.codes.items():
                content = io.BytesIO()
                np.save(content, codes[row].contiguous().numpy())
                add_member(tar, f"{name}.{column}.npy", content.getvalue())


def add_member(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file to a tar; the same files give the same bytes."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


WRITERS: Mapping[FileFormat, Callable[[Path, Columns, Mapping[str, str]], None]] = {
    "safetensors": write_safetensors,
    "parquet": write_parquet,
    "tar": write_tar,
}


def check_format(file_format: FileFormat) -> None:
    """Refuse a format whose library is not installed.

    Raises:
        InputError: Parquet without pyarrow.
    """
    if file_format == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise InputError("Parquet needs pyarrow: pip install 'smalti[data]'") from error

"""Reads a whole shard of codes of any format: what `shard_files.write_shard` has written.

Training reads rows of safetensors instead, see `read`. Axes: N images of the shard, h/w grid of
codes.
"""

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from smalti.codes.manifest import Encoding, FileFormat
from smalti.codes.shard_files import KEY, KEY_ENDS, KEYS, LABEL, LABELS, SHAPE, Columns, split_keys


def read_shard(path: Path, encoding: Encoding) -> Columns:
    """Read a shard in the format of its encoding. Its hash is not compared.

    Raises:
        OSError: the disk refused.
    """
    return READERS[encoding.file_format](path, encoding)


def read_safetensors(path: Path, encoding: Encoding) -> Columns:
    """Read the tensors of a shard."""
    tensors = load_file(path)
    keys = split_keys(tensors.pop(KEYS).numpy(), tensors.pop(KEY_ENDS).numpy())
    return Columns(
        keys=keys,
        labels=tensors.get(LABELS),
        codes={name: tensors[name] for name in encoding.columns},  # they are stored in any order
    )


def read_parquet(path: Path, encoding: Encoding) -> Columns:
    """Read the rows of a shard; how a list of numbers is shaped stands beside its column."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    codes, labels = {}, None
    for name in table.column_names:
        numbers = table.column(name).combine_chunks()
        if name == LABEL:
            labels = torch.from_numpy(numbers.to_numpy().copy())
        elif name != KEY:
            told = (table.field(name).metadata or {}).get(SHAPE.encode())
            # Shards of version 0.2.0 do not say it, and hold grids of images alone.
            shape = encoding.grid if told is None else json.loads(told)
            flat = numbers.flatten().to_numpy()
            codes[name] = torch.from_numpy(flat.reshape(len(table), *shape).copy())
    return Columns(keys=table.column(KEY).to_pylist(), labels=labels, codes=codes)


def read_tar(path: Path, encoding: Encoding) -> Columns:
    """Read the members of a shard."""
    keys: list[str] = []
    labels: list[int] = []
    grids: dict[str, list[Tensor]] = {name: [] for name in encoding.columns}
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None, "all members are files"
            content, (_, ending) = file.read(), member.name.split(".", 1)
            if ending == "json":
                keys.append(json.loads(content)[KEY])
            elif ending == "cls":
                labels.append(int(content))
            else:
                array = np.load(io.BytesIO(content), allow_pickle=False)
                grids[ending.removesuffix(".npy")].append(torch.from_numpy(array))
    return Columns(
        keys=keys,
        labels=None if encoding.classes is None else torch.tensor(labels, dtype=torch.int32),
        codes={name: _stacked(some, encoding, name) for name, some in grids.items()},
    )


def _stacked(grids: list[Tensor], encoding: Encoding, name: str) -> Tensor:
    """The codes (N, ...) of a column; a shard whose images were all left out has no rows."""
    if grids:
        return torch.stack(grids)
    return torch.zeros((0, *encoding.grid), dtype=getattr(torch, encoding.columns[name]))


READERS: Mapping[FileFormat, Callable[[Path, Encoding], Columns]] = {
    "safetensors": read_safetensors,
    "parquet": read_parquet,
    "tar": read_tar,
}

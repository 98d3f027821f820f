"""Reads and writes codes of pictures: a safetensors file of tensors (h, w) int32 in [0, K).

The metadata says what they are: `codebook_size`, `downsampling_factor`, and `tokenizer`, a hash of
the weights that made them. Other people's models read it with the safetensors library alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from torch import Tensor

from smalti.codes.shard_files import KEY_ENDS
from smalti.config import InputError
from smalti.files import atomic_file
from smalti.model_folder import write_tensors
from smalti.tokenizer.base import Tokenizer
from smalti.weights import weights_hash


@dataclass(frozen=True, slots=True)
class CodeFile:
    """Content of a file of codes."""

    codes: dict[str, Tensor]
    """Codes (h, w) int64 in [0, K), by the name of the picture."""
    tokenizer: str
    """Hash of the tokenizer's weights, or "" if the file has none."""


def write_codes(path: Path, codes: Mapping[str, Tensor], tokenizer: Tokenizer) -> None:
    """Write codes (h, w) int64 by name, whole or not at all.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    metadata = {
        "format": "smalti-codes",
        "codebook_size": str(tokenizer.codebook_size),
        "downsampling_factor": str(tokenizer.downsampling_factor),
        "tokenizer": weights_hash(tokenizer),
    }
    tensors = {name: grid.to(torch.int32).contiguous() for name, grid in codes.items()}
    with atomic_file(path) as temporary:
        write_tensors(temporary, tensors, metadata)


def read_codes(path: Path) -> CodeFile:
    """Read a file of codes.

    Raises:
        InputError: it does not exist, is damaged, or holds something else than grids of integers.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no file"
        raise InputError(f"{path} is {what}; give a file that `smalti encode MODEL PICTURES` wrote")
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except safetensors.SafetensorError as error:
        raise InputError(
            f"{path} is damaged, or no safetensors file; give what `smalti encode` wrote"
        ) from error
    if not tensors:
        raise InputError(f"{path} holds no codes")
    if KEY_ENDS in tensors:
        raise InputError(
            f"{path} is a shard of `smalti encode --data`; smalti.ShardCodes reads shards in Python"
        )
    for name, grid in tensors.items():
        if grid.ndim != 2 or not grid.numel() or grid.is_floating_point():
            raise InputError(
                f"{path}: {name!r} must be an integer grid (h, w), got {grid.dtype} of shape "
                f"{tuple(grid.shape)}"
            )
    codes = {name: grid.to(torch.int64) for name, grid in tensors.items()}
    return CodeFile(codes, metadata.get("tokenizer", ""))

"""Checkpoints of which each process writes and reads its own part.

PyTorch's distributed checkpoint does it, with its storage of safetensors files: where a part lies
in its tensor stands in the header of the file as JSON. The default storage has a pickle beside its
files, and is not used.

step_00000500/   shard-00001-model-00001-of-00001.safetensors   the tensors of process 0
                 shard-00002-model-00001-of-00001.safetensors   those of process 1, ...
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import (
    HuggingFaceStorageReader,
    HuggingFaceStorageWriter,
)
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from smalti.config import InputError
from smalti.files import disk_errors


def write_shards(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write the parts of tensors into a folder; called in all processes.

    Tensors that are not divided are written once.

    Raises:
        InputError: the disk refused it to one of the processes; raised in all.
    """
    writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
    try:
        save(dict(tensors), storage_writer=writer)
    except CheckpointException as error:
        with disk_errors(folder):
            raise _first_failure(error) from error


def read_shards(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Read the values of tensors, or this process's parts of them, from the files of a folder.

    The number of processes that wrote them does not matter, and tensors that were written whole are
    read too. Nothing waits for another process.

    Raises:
        InputError: a tensor is missing or has another shape.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        try:
            reader = HuggingFaceStorageReader(str(folder))
            load(dict(tensors), storage_reader=reader, no_dist=True)
        except CheckpointException as error:
            reason = str(_first_failure(error)).splitlines()[0]
            raise InputError(f"the checkpoint does not fit this config: {reason}") from error


def sizes_in(folder: Path) -> dict[str, torch.Size]:
    """Whole sizes of the tensors in the files of a folder, by name."""
    stored = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    tensors = {name: x for name, x in stored.items() if isinstance(x, TensorStorageMetadata)}
    return {name: tensor.size for name, tensor in tensors.items()}


def _first_failure(error: CheckpointException) -> BaseException:
    """The error of the first process that failed."""
    failure, _ = error.failures[min(error.failures)]
    return failure

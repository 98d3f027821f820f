"""Tensors of a checkpoint file, whichever program wrote it."""

from pathlib import Path

import torch
from torch import Tensor

from smalti.interop.unpickle import named_tensors, read_state_dict
from smalti.model_folder import read_tensors
from smalti.types import InputError


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Tensors of a checkpoint's state dict by name, on the CPU.

    Args:
        path: safetensors, or a file of `torch.save` with a state dict, alone or under
            `state_dict`. Nothing that such a file names is imported or called.

    Raises:
        InputError: it does not exist, is not a checkpoint, is damaged, or holds no tensor.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    tensors = read_tensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    if not tensors:
        raise InputError(f"{path} holds no tensors, neither at its top nor under state_dict")
    return tensors


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        # Mapped, so that what is not used, such as an optimizer's state, is not read.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # it refuses objects and the old format; the restricted reader decides
        return read_state_dict(path)
    return named_tensors(content, Tensor)

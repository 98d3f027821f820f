"""Tensors of a checkpoint file, whichever program wrote it."""

import json
import re
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from smalti.interop.containers import AVERAGED, RAW, Weights, find_weights
from smalti.interop.unpickle import read_weights
from smalti.model_folder import read_tensors
from smalti.types import InputError

INDEX = ".index.json"
CHECKPOINTS = (".ckpt", ".pt", ".pth", ".bin", ".safetensors")


def read_checkpoint(path: Path) -> Weights:
    """The weights of a checkpoint, on the CPU.

    Args:
        path: safetensors, a file of `torch.save`, or the index of shards of either. Nothing that
            such a file names is imported or called.

    Raises:
        InputError: it does not exist, is not a checkpoint, is damaged, or holds no tensor.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    if path.name.endswith(INDEX):
        return Weights(_read_shards(path))
    _check_whole(path)
    return _read_file(path)


def _read_file(path: Path) -> Weights:
    weights = Weights(read_tensors(path)) if path.suffix == ".safetensors" else _read_pickle(path)
    if not weights.tensors:
        raise InputError(
            f"{path} holds no tensors, neither at its top nor under {', '.join((*AVERAGED, *RAW))}"
        )
    return weights


def checkpoints_below(folder: Path) -> list[Path]:
    """Checkpoint files in a folder and its sub-folders, to be named in a message."""
    files = (path for path in sorted(folder.glob("*")) + sorted(folder.glob("*/*")))
    return [path for path in files if path.suffix in CHECKPOINTS and path.is_file()]


def _read_pickle(path: Path) -> Weights:
    try:
        # Mapped, so that what is not used, such as an optimizer's state, is not read.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # it refuses objects and the old format; the restricted reader decides
        return read_weights(path)
    return find_weights(content, Tensor)


def _read_shards(index: Path) -> dict[str, Tensor]:
    """Tensors of all files that an index names, which lie beside it."""
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{index} is no index of shards: it has no weight_map") from error
    tensors: dict[str, Tensor] = {}
    for name in sorted(map(str, names)):
        if Path(name).name != name or not index.with_name(name).is_file():
            raise InputError(f"{index} names {name!r}, which is no file beside it")
        tensors |= _read_file(index.with_name(name)).tensors
    if not tensors:
        raise InputError(f"{index} is no index of shards: it names none")
    return tensors


def _check_whole(path: Path) -> None:
    """Refuse one shard of several, and an archive of files."""
    shard = re.fullmatch(r"(.+)-\d{5}-of-(\d{5})(\.\w+)", path.name)
    if shard:
        index = path.with_name(f"{shard[1]}{shard[3]}{INDEX}")
        raise InputError(f"{path} is one of {int(shard[2])} shards; give {index}")
    if path.suffix == ".safetensors" or not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    # The files of torch.save are archives too, with their tensors in files of their own.
    if not any(name.endswith("data.pkl") for name in names):
        inside = [name for name in names if Path(name).suffix in CHECKPOINTS]
        raise InputError(
            f"{path} is an archive of files; unpack it and give "
            + (f"{inside[0]}" if inside else "a checkpoint (it holds none)")
        )

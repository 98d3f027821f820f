"""Reads the tensors of a checkpoint file, whichever program wrote it."""

import json
import re
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from smalti.config import InputError
from smalti.interop.containers import AVERAGED, RAW, Weights, find_weights
from smalti.interop.unpickle import read_weights
from smalti.model_folder import CHECKPOINTS, map_tensors

INDEX = r".+\.index(\.\w+)?\.json"
SHARD = r".+-\d{5}-of-(\d{5})(\.\w+)+"


def read_checkpoint(path: Path, averaged: bool = True) -> Weights:
    """Read the weights of a checkpoint, on the CPU.

    It is safetensors, a file of `torch.save` or the index of shards of either. Nothing that such a
    file names is imported or called. Of a large file, only the tensors that are used are read.

    Args:
        path: the checkpoint.
        averaged: whether averaged weights are preferred to raw ones, where it has both.

    Raises:
        InputError: it does not exist, is not a checkpoint, is damaged, or holds no tensor.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    if is_index(path):
        return Weights(_read_shards(path, averaged))
    _check_whole(path)
    return _read_file(path, averaged)


def _read_file(path: Path, averaged: bool) -> Weights:
    if path.suffix == ".safetensors":
        weights = Weights(map_tensors(path))
    else:
        weights = _read_pickle(path, averaged)
    if not weights.tensors:
        names = ", ".join((*AVERAGED, *RAW))
        raise InputError(
            f"{path} holds no tensors, neither at its top nor under {names}; "
            "of a model that was pickled whole, save the state_dict() in the program that made it"
        )
    return weights


def is_index(path: Path) -> bool:
    """Whether a file, by its name, is the index that tells in which shard each tensor is."""
    return re.fullmatch(INDEX, path.name) is not None


def checkpoints_below(folder: Path) -> list[Path]:
    """Find the checkpoint files in a folder and its sub-folders, to name them in a message."""
    files = sorted(folder.glob("*")) + sorted(folder.glob("*/*"))
    seen = [path for path in files if path.is_file() and not path.name.startswith(".")]
    whole = [path for path in seen if not re.fullmatch(SHARD, path.name)]
    return [path for path in whole if is_index(path) or path.suffix in CHECKPOINTS]


def _read_pickle(path: Path, averaged: bool) -> Weights:
    try:
        # Mapped, so that what is not used, such as an optimizer's state, is not read.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # it refuses objects and the old format; the restricted reader decides
        return read_weights(path, averaged)
    return find_weights(content, Tensor, averaged)


def _read_shards(index: Path, averaged: bool) -> dict[str, Tensor]:
    """Read the tensors of all files that an index names; they lie beside it."""
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{index} is no index of shards: it has no weight_map") from error
    tensors: dict[str, Tensor] = {}
    for name in sorted(map(str, names)):
        if Path(name).name != name or not index.with_name(name).is_file():
            raise InputError(f"{index} names {name!r}, which is no file beside it")
        tensors |= _read_file(index.with_name(name), averaged).tensors
    if not tensors:
        raise InputError(f"{index} is no index of shards: it names none")
    return tensors


def _check_whole(path: Path) -> None:
    """Refuse one shard of several, a config, and an archive of files."""
    shard = re.fullmatch(SHARD, path.name)
    if shard:
        index = next(filter(is_index, sorted(path.parent.glob("*.json"))), None)
        raise InputError(
            f"{path} is one of {int(shard[1])} shards; give "
            + (f"{index}" if index else "their index, a file that ends in .index.json")
        )
    if path.suffix == ".json":
        raise InputError(f"{path} holds no weights; give its folder, {path.parent}")
    if path.suffix != ".safetensors" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _check_archive(path, archive.namelist())


def _check_archive(path: Path, names: list[str]) -> None:
    # The files of torch.save are archives too, with their tensors in files of their own.
    if any(name.endswith("data.pkl") for name in names):
        return
    files = [Path(name) for name in names]
    inside = [file for file in files if file.suffix in CHECKPOINTS]
    if not inside:
        raise InputError(f"{path} is an archive of files, none of them a checkpoint")
    first = inside[0]
    is_folder = first.with_name("config.json") in files
    what = f"the folder {first.parent}" if is_folder else f"{first}"
    raise InputError(f"{path} is an archive of files; unpack it and give {what}")

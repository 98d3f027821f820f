"""Reads the codes that runs of version 0.2 and before made by themselves: they go on with them.

    FOLDER/view_000.safetensors   codes (N, h, w) of each image's first random crop and flip, and
                                  of that crop's conditions: condition.KIND (N, ...)
    FOLDER/view_001.safetensors   ... of its second
    FOLDER/manifest.json          what they were made from, and a hash of each file

Axes: N images, B batch, h/w latent grid.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from smalti.conditions import Condition
from smalti.config import InputError
from smalti.data.loader import BatchLoader, Drawn
from smalti.files import sha256
from smalti.model_folder import map_tensors
from smalti.shard_folder import MANIFEST_FILE
from smalti.training.prior.code_batch import BatchEncoder, CodeBatch, CodeCache
from smalti.weights import weights_hash

CODES = "codes"
CONDITION = "condition."
FORMAT = 2
"""Number of the format in the manifest."""

View = NDArray[Any]


class FormerCache(CodeCache):
    """Codes of a cache of the former format.

    Args:
        folder: folder of the cache.
        loader: the loader whose order training follows.
        codebook_size: K of the tokenizer.

    Raises:
        InputError: codes are damaged.
    """

    def __init__(self, folder: Path, loader: BatchLoader, codebook_size: int) -> None:
        super().__init__(loader)
        hashes = read_former(folder)["sha256"]
        for name, expected in hashes.items():
            if not (folder / name).is_file() or sha256(folder / name) != expected:
                raise InputError(
                    f"{folder / name} is damaged or missing; delete {folder} to encode anew"
                )
        self._views = [_open_view(folder / name, codebook_size) for name in sorted(hashes)]

    def _batch(self, draws: Sequence[Drawn], keys: Sequence[str]) -> CodeBatch:
        rows = [(self._views[(epoch or 0) % len(self._views)], index) for index, epoch in draws]
        tensors = {name: _stack([view[name][index] for view, index in rows]) for name in rows[0][0]}
        codes = tensors.pop(CODES)
        conditions = {name.removeprefix(CONDITION): tensors[name] for name in tensors}
        return CodeBatch(keys, codes, conditions)


def _open_view(path: Path, codebook_size: int) -> Mapping[str, View]:
    view = {name: tensor.numpy() for name, tensor in map_tensors(path).items()}
    codes = view[CODES]
    if codes.size and int(codes.max()) >= codebook_size:
        raise InputError(
            f"{path} has code {int(codes.max())}, but the codebook has {codebook_size}"
        )
    return view


def _stack(rows: Sequence[View]) -> Tensor:
    """Stack rows into one tensor; whole numbers become int64."""
    stacked = np.stack(rows)
    return torch.from_numpy(
        stacked if np.issubdtype(stacked.dtype, np.floating) else stacked.astype(np.int64)
    )


def is_former(folder: Path) -> bool:
    """Whether a folder holds a cache of the former format, whole or damaged."""
    return (folder / MANIFEST_FILE).is_file() and any(folder.glob("view_*.safetensors"))


def is_made_so(folder: Path, loader: BatchLoader, encoder: BatchEncoder, views: int) -> bool:
    """Whether a former cache has the codes of a data set, by the same tokenizers.

    Raises:
        InputError: its manifest is damaged.
    """
    return read_former(folder)["made_from"] == _made_from(loader, encoder, views)


def read_former(folder: Path) -> dict[str, dict[str, object]]:
    """Read the manifest of a former cache.

    Raises:
        InputError: it is damaged.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        return {"made_from": dict(manifest["made_from"]), "sha256": dict(manifest["sha256"])}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged: {error}; delete {folder}") from error


def _made_from(loader: BatchLoader, encoder: BatchEncoder, views: int) -> dict[str, object]:
    """What decides the codes; keys and values are those of the first caches."""
    dataset, transform = loader.dataset, loader.dataset.transform
    conditions = encoder.conditioning.conditions
    return {
        "format": FORMAT,
        "data": dataset.fingerprint(),
        "classes": list(dataset.class_names or ()),
        "transform": {
            **transform.model_dump(mode="json", exclude={"small"}),
            "upscale": transform.small == "enlarge",
        },
        "crop_seed": dataset.seed,
        "tokenizer": weights_hash(encoder.tokenizer),
        "conditions": {one.kind: _made_from_condition(one) for one in conditions},
        "views": views,
    }


def _made_from_condition(condition: Condition[Any]) -> dict[str, object]:
    """What decides a condition's codes beside the data: its tokenizer, if it has one."""
    if condition.tokenizer is None:
        return {}
    assert isinstance(condition.tokenizer, nn.Module)
    weights = weights_hash(condition.tokenizer)
    config = condition.config.model_dump(mode="json")
    if config["content"].get("white_level") is None:  # the first caches were written without it
        config["content"].pop("white_level", None)
    config["content"].pop("class_names", None)  # they are for people
    return {"config": config, "tokenizer": weights}

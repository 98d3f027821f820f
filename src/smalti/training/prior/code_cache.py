"""Cache of the codes of a data set, encoded once, for training the prior.

    FOLDER/view_000.safetensors   codes (N, h, w) of each image's first random crop and flip, and
                                  of that crop's conditions: condition.KIND (N, ...)
    FOLDER/view_001.safetensors   ... of its second
    FOLDER/manifest.json          what they were made from, and a hash of each file

View v has the crops of the data set in epoch v. With as many views as epochs, training from the
cache equals encoding at each step; with fewer, epochs take views in turn.

Axes: N images, B batch, h/w latent grid.
"""

import contextlib
import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from smalti.conditions import Condition
from smalti.conditions.conditioning import Conditioning
from smalti.config import InputError
from smalti.data.loader import BatchLoader, Drawn
from smalti.distributed import from_first, together
from smalti.files import atomic_folder, disk_errors, sha256, system_lock, write_json
from smalti.model_folder import map_tensors, write_tensors
from smalti.tokenizer.base import Tokenizer, encoded_together
from smalti.training.log import say
from smalti.types import Batch
from smalti.weights import weights_hash
from smalti.words import counted

MANIFEST_FILE = "manifest.json"
CODES = "codes"
CONDITION = "condition."
FORMAT = 2  # raised when the meaning of the files changes

PATIENCE = timedelta(days=2)
"""How long other processes wait for the codes of a large data set."""

View = NDArray[Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CodeBatch:
    """Codes of several images."""

    keys: Sequence[str]
    """Path of each image, for messages."""
    codes: Tensor
    """Codes (B, h, w) int64 in [0, K)."""
    conditions: Mapping[str, Tensor]
    """Codes (B, ...) of the images' conditions, by kind."""


class CodeCache:
    """Codes of all views, read from disk as they are needed.

    Args:
        views: for each view, the codes (N, h, w) uint16 or int32 and those of the conditions
            (N, ...), in the data set's order.
        loader: the loader whose order training follows.
    """

    def __init__(self, views: Sequence[Mapping[str, View]], loader: BatchLoader) -> None:
        self.views, self.loader = views, loader

    def batches(self, start_step: int) -> Iterator[CodeBatch]:
        """Batches from number `start_step` on, of the same images and crops as the loader's."""
        for step in count(start_step):
            yield self._batch(self.loader.share_of_draws(step))

    def _batch(self, draws: Sequence[Drawn]) -> CodeBatch:
        rows = [(self.views[(epoch or 0) % len(self.views)], index) for index, epoch in draws]
        tensors = {name: _stack([view[name][index] for view, index in rows]) for name in rows[0][0]}
        codes = tensors.pop(CODES)
        return CodeBatch(
            keys=[self.loader.dataset.name(index) for index, _ in draws],
            codes=codes,
            conditions={name.removeprefix(CONDITION): tensors[name] for name in tensors},
        )


def _stack(rows: Sequence[View]) -> Tensor:
    """Stack rows into one tensor; whole numbers become int64."""
    stacked = np.stack(rows)
    return torch.from_numpy(
        stacked if np.issubdtype(stacked.dtype, np.floating) else stacked.astype(np.int64)
    )


@dataclass(frozen=True, slots=True)
class BatchEncoder:
    """Encodes batches of images with their conditions."""

    tokenizer: Tokenizer
    conditioning: Conditioning
    device: torch.device
    """Device of all tokenizers."""

    def encode(self, batch: Batch) -> CodeBatch:
        """Encode a batch and its conditions; the codes are on the CPU.

        Raises:
            InputError: the data lacks a condition.
        """
        values = self.conditioning.batch_values(batch)
        on_device = {kind: value.to(self.device) for kind, value in values.items()}
        encoded = self.conditioning.encode(on_device)
        conditions = {kind: codes.cpu() for kind, codes in encoded.items()}
        codes = self.tokenizer.encode(batch.images.to(self.device)).cpu()
        return CodeBatch(batch.keys, codes, conditions)


def load_or_encode(
    folder: Path, loader: BatchLoader, encoder: BatchEncoder, views: int
) -> CodeCache:
    """Load the codes of a data set, or encode them if data, tokenizer or crops have changed.

    `views` is the number of random crops and flips of each image. Process 0 encodes, and the others
    wait.

    Raises:
        InputError: the folder holds something else or damaged codes, or cannot be written.
    """
    with contextlib.ExitStack() as held:

        def make() -> None:
            held.enter_context(_alone_at(folder))
            made_from = _made_from(loader, encoder, views)
            stored = read_manifest(folder)
            if stored is not None and stored["made_from"] == made_from:
                return
            if stored is not None:
                log.info("%s: data, tokenizer or crops changed; encoding anew", folder)
            _encode(folder, loader, encoder, views, made_from)

        from_first(make, PATIENCE)
        with together():
            return _load(folder, loader, encoder.tokenizer.codebook_size)


@contextlib.contextmanager
def _alone_at(folder: Path) -> Iterator[None]:
    """Context that waits for other runs which encode into the same folder, and locks them out."""
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f".{folder.name}.lock")
    with contextlib.ExitStack() as held:
        if held.enter_context(system_lock(lock)) is False:
            say(f"waiting for another run that encodes into {folder}")
            held.enter_context(system_lock(lock, wait=True))
        yield


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


def read_manifest(folder: Path) -> dict[str, dict[str, object]] | None:
    """Read the manifest; None without a cache.

    Raises:
        InputError: the folder holds other files, which must not be replaced.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise InputError(f"{folder} is not empty and not a cache of codes")
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        return {"made_from": dict(manifest["made_from"]), "sha256": dict(manifest["sha256"])}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged: {error}; delete {folder}") from error


def _compact(codes: Tensor) -> Tensor:
    """Convert whole numbers to int32; no vocabulary is larger."""
    return codes if codes.is_floating_point() else codes.to(torch.int32)


def _encode(
    folder: Path,
    loader: BatchLoader,
    encoder: BatchEncoder,
    views: int,
    made_from: Mapping[str, object],
) -> None:
    """Encode every view and write the cache, whole or not at all."""
    dtype = torch.uint16 if encoder.tokenizer.codebook_size <= 2**16 else torch.int32
    total = views * len(loader.dataset)
    images = counted(len(loader.dataset), "image")
    size = loader.dataset.transform
    batch_size = encoded_together(size.height_px, size.width_px)
    say(f"encoding {counted(views, 'crop')} of each of {images} (codes.views)")
    with (
        atomic_folder(folder) as temporary,
        tqdm(total=total, unit="image", desc="encoding", dynamic_ncols=True, disable=None) as bar,
    ):
        for view in range(views):
            chunks: dict[str, list[Tensor]] = defaultdict(list)
            for batch in loader.augmented_batches(view, batch_size):
                codes = encoder.encode(batch)
                chunks[CODES].append(codes.codes.to(dtype))
                for kind, condition in codes.conditions.items():
                    chunks[CONDITION + kind].append(_compact(condition))
                bar.update(len(batch.keys))
            tensors = {name: torch.cat(rows) for name, rows in chunks.items()}
            write_tensors(temporary / f"view_{view:03d}.safetensors", tensors)
        hashes = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
        manifest = {"made_from": made_from, "sha256": hashes}
        write_json(temporary / MANIFEST_FILE, manifest)


def _load(folder: Path, loader: BatchLoader, codebook_size: int) -> CodeCache:
    """Read a cache whose manifest fits."""
    manifest = read_manifest(folder)
    assert manifest is not None
    for name, expected in manifest["sha256"].items():
        if not (folder / name).is_file() or sha256(folder / name) != expected:
            raise InputError(
                f"{folder / name} is damaged or missing; delete {folder} to encode anew"
            )
    views = []
    for name in sorted(manifest["sha256"]):
        tensors = map_tensors(folder / name)
        view = {column: tensor.numpy() for column, tensor in tensors.items()}
        codes = view[CODES]
        if codes.size and int(codes.max()) >= codebook_size:
            raise InputError(
                f"{folder / name} has code {int(codes.max())}, but the codebook has {codebook_size}"
            )
        views.append(view)
    return CodeCache(views, loader)

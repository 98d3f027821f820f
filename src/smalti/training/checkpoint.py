"""Checkpoints of a run: a folder each, whole or not there, and no pickle.

checkpoints/step_00000500/   config.json, model.safetensors   the averaged model, as `best/`
                             training.safetensors             weights, averages, optimizers
                             training.json                    counters, and a hash of each file
                             shard-*.safetensors              of a sharded run, instead of training.
                                                              safetensors: a part by each process
checkpoints/best/            config.json, model.safetensors   the best model so far
"""

import contextlib
import json
import logging
import math
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from smalti.config import Config, InputError
from smalti.distributed import from_first
from smalti.files import atomic_folder, disk_errors, remove_leftovers, sha256, write_json
from smalti.model_folder import read_tensors, step_folders, write_model_files, write_tensors
from smalti.sharding import is_sharded, whole_weights
from smalti.training.shards import read_shards, sizes_in, write_shards

STATE_FILE = "training.safetensors"
COUNTERS_FILE = "training.json"

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Counters:
    """Numbers that a run stores beside its tensors."""

    step: int = 0
    """Number of steps done; a step is one batch for the generator or the prior."""
    best_step: int = -1
    """Step of the best model, or -1 before an evaluation with a finite score."""
    best_score: float = float("inf")
    """Score of the best model on the images that are evaluated; lower is better."""
    without_gain: int = 0
    """Number of evaluations since the one with the lowest score."""
    seconds: float = 0.0
    """Time so far for steps, evaluations and pictures, without fetching batches and saving."""


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Modules and optimizers that a step changes, by name."""

    modules: Mapping[str, nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer]

    @property
    def is_sharded(self) -> bool:
        """Whether each process holds a part of it."""
        return any(is_sharded(module) for module in self.modules.values())


@dataclass(frozen=True, slots=True)
class InferenceModel:
    """The model that is used after training."""

    kind: str
    config: Config
    module: nn.Module


def save_checkpoint(
    checkpoints: Path, state: TrainingState, model: InferenceModel, counters: Counters
) -> Path:
    """Write `step_XXXXXXXX`, then delete all older ones but the one before.

    Called in all processes: process 0 writes, and of a sharded state each process its part.

    Raises:
        InputError: the disk is full or the folder cannot be written; older checkpoints stay.
    """
    folder = checkpoints / f"step_{counters.step:08d}"
    weights = whole_weights(model.module)
    with contextlib.ExitStack() as writing:
        temporary = from_first(lambda: writing.enter_context(atomic_folder(folder)))
        if state.is_sharded:
            write_shards(temporary, _tensors(state))

        def finish() -> None:
            with disk_errors(folder):
                write_model_files(temporary, model.kind, model.config, weights)
                if not state.is_sharded:
                    write_tensors(temporary / STATE_FILE, _copied(_tensors(state)))
                _describe(temporary, counters)
            writing.close()  # here, so that all processes learn if the disk refuses it
            for old in step_folders(checkpoints)[:-2]:
                shutil.rmtree(old, ignore_errors=True)

        from_first(finish)
    return folder


def _describe(folder: Path, counters: Counters) -> None:
    """Write the counters and the hashes of all files that are in the folder."""
    hashes = {path.name: sha256(path) for path in sorted(folder.iterdir())}
    description = {"counters": asdict(counters), "torch": torch.__version__, "sha256": hashes}
    write_json(folder / COUNTERS_FILE, description)


def resume(checkpoints: Path, state: TrainingState) -> Counters | None:
    """Load the newest whole checkpoint into the state; returns None without checkpoints.

    A damaged checkpoint is reported, and the one before it is taken.

    Raises:
        InputError: there are checkpoints, but none is whole.
    """
    remove_leftovers(checkpoints)
    for folder in reversed(step_folders(checkpoints)):
        try:
            counters = read_counters(folder)
        except InputError as error:
            log.warning("%s; trying the checkpoint before it", error)
            continue
        is_divided = state.is_sharded or not (folder / STATE_FILE).is_file()
        tensors = _read_shards(state, folder) if is_divided else read_tensors(folder / STATE_FILE)
        _restore(state, tensors)
        return counters
    check_checkpoints(checkpoints)
    return None


def check_checkpoints(checkpoints: Path) -> None:
    """Refuse checkpoints that `resume` cannot go on from, before anything is written.

    Raises:
        InputError: there are checkpoints, but none is whole.
    """
    folders = step_folders(checkpoints)
    if folders and not any(_is_whole(folder) for folder in reversed(folders)):
        raise InputError(
            f"no checkpoint in {checkpoints} is whole: all are damaged or cut short; "
            "move them away to start anew"
        )


def _is_whole(folder: Path) -> bool:
    try:
        read_counters(folder)
    except InputError:
        return False
    return True


def read_counters(folder: Path) -> Counters:
    """Read the counters of a checkpoint, after checking that all its files are whole.

    Raises:
        InputError: a file is missing, cut short or changed.
    """
    try:
        description = json.loads((folder / COUNTERS_FILE).read_text(encoding="utf-8"))
        counters, hashes = _counters(description["counters"]), description["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / COUNTERS_FILE} is damaged: {error}") from error
    for name, expected in hashes.items():
        if not (folder / name).is_file() or sha256(folder / name) != expected:
            raise InputError(f"{folder / name} is missing, damaged or cut short")
    return counters


def _counters(stored: dict[str, Any]) -> Counters:
    """Counters from a file; without a finite best score there is no best model."""
    counters = Counters(**stored)
    if counters.best_score is None or not math.isfinite(counters.best_score):
        counters.best_step, counters.best_score = -1, math.inf
    return counters


def newest_step(checkpoints: Path) -> int:
    """Step of the checkpoint that a run would go on from, or 0 without one."""
    for folder in reversed(step_folders(checkpoints)):
        if _is_whole(folder):
            return read_counters(folder).step
    return 0


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    """All tensors of a state, under the names `module/KEY` and `optimizer/INDEX/FIELD`."""
    tensors: dict[str, Tensor] = {}
    for name, module in state.modules.items():
        tensors |= {f"{name}/{key}": tensor for key, tensor in module.state_dict().items()}
    for name, optimizer in state.optimizers.items():
        for index, fields in optimizer.state_dict()["state"].items():
            tensors |= {f"{name}/{index}/{field}": value for field, value in fields.items()}
    return tensors


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _restore(state: TrainingState, tensors: dict[str, Tensor]) -> None:
    """Load the tensors of `_tensors` into a state."""
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        group, key = name.split("/", 1)
        groups.setdefault(group, {})[key] = tensor
    try:
        for name, module in state.modules.items():
            module.load_state_dict(groups[name])
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"the checkpoint does not fit this config: {reason}") from error
    for name, optimizer in state.optimizers.items():
        fields: dict[int, dict[str, Tensor]] = {}
        for key, tensor in groups.get(name, {}).items():
            index, field = key.split("/")
            fields.setdefault(int(index), {})[field] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": fields})


def _read_shards(state: TrainingState, folder: Path) -> dict[str, Tensor]:
    """Read a checkpoint, if it or the state is sharded; of a sharded state only this part."""
    tensors = _tensors(TrainingState(state.modules, optimizers={}))
    for name, size in sizes_in(folder).items():
        group, _, key = name.partition("/")
        if group in state.optimizers:
            tensors[name] = _blank(state.optimizers[group], int(key.partition("/")[0]), size)
    read_shards(folder, tensors)
    return tensors


def _blank(optimizer: torch.optim.Optimizer, index: int, size: torch.Size) -> Tensor:
    """Zeros of a size, divided as the parameter of this number is if it has this size."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    same = [p for p in parameters[index : index + 1] if p.shape == size]
    return torch.zeros_like(same[0]) if same else torch.zeros(size)

"""Finds the `VQModel` in a folder of diffusers, and the file with its weights."""

import json
from pathlib import Path
from typing import Any

from smalti.config import InputError
from smalti.interop.checkpoint import checkpoints_below, is_index
from smalti.model_folder import CONFIG_FILE, PIPELINE_FILE, step_folders

WEIGHTS = "diffusion_pytorch_model"
WEIGHTS_FILE = f"{WEIGHTS}.safetensors"
MOST_NAMED = 3


def find_vqmodel(folder: Path) -> Path:
    """Find the folder of a VQModel: this one, or that of the only VQModel of a pipeline.

    Raises:
        InputError: there is none, or there are several; the message says what to give instead.
    """
    config = _read(folder / CONFIG_FILE)
    if config.get("_class_name") == "VQModel":
        return folder
    if {"kind", "config"} <= config.keys() or step_folders(folder / "checkpoints"):
        raise InputError("it is a model or run of smalti already; there is nothing to import")
    models = [model for model in sorted(folder.glob("*/")) if _class(model) == "VQModel"]
    if len(models) == 1:
        return models[0]
    if models:
        raise InputError(f"it has several VQModels; give one: {_named(models)}")
    raise InputError(_what_it_is(folder, config))


def weights_file(folder: Path) -> Path:
    """Find the file of a VQModel's weights; a whole file and full precision are preferred.

    Raises:
        InputError: there is none.
    """
    found = [path for path in sorted(folder.glob(f"{WEIGHTS}*")) if _is_whole(path)]
    if not found:
        raise InputError(f"{folder / WEIGHTS_FILE} does not exist")
    return min(found, key=_later)


def _is_whole(path: Path) -> bool:
    is_shard = "-of-" in path.name and not is_index(path)
    return not is_shard and (is_index(path) or path.suffix in (".safetensors", ".bin"))


def _later(path: Path) -> tuple[bool, bool, bool, str]:
    """Key that sorts the files of weights: the one to take comes first."""
    kinds = (".safetensors", ".bin", ".index", ".json")
    words = path.name.removeprefix(WEIGHTS).split(".")[1:]
    is_variant = any(f".{word}" not in kinds for word in words)
    return is_variant, "non_ema" in words, "bin" in words, path.name


def _what_it_is(folder: Path, config: dict[str, Any]) -> str:
    """Message on why a folder holds no VQModel, and what to give instead."""
    pipeline = _read(folder / PIPELINE_FILE)
    if pipeline:
        models = [f"{name} ({_class(folder / name)})" for name in pipeline if _class(folder / name)]
        return f"it is a pipeline without a VQModel; it has {', '.join(models) or 'no models'}"
    files = checkpoints_below(folder)
    hint = f"; give the checkpoint file: {_named(files)}" if files else ""
    if config.get("_class_name"):
        return f"its {CONFIG_FILE} is that of {config['_class_name']}, needed is a VQModel{hint}"
    if hint:
        return f"it is no folder of diffusers (no {CONFIG_FILE} of a VQModel){hint}"
    return (
        f"it has no {CONFIG_FILE} of a VQModel, so it is no folder of diffusers; for other "
        "programs give the checkpoint file"
    )


def _named(paths: list[Path]) -> str:
    more = f" or {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
    return ", ".join(map(str, paths[:MOST_NAMED])) + more


def _class(folder: Path) -> str | None:
    found = _read(folder / CONFIG_FILE).get("_class_name")
    return found if isinstance(found, str) else None


def _read(path: Path) -> dict[str, Any]:
    """Read the object in a JSON file; it is empty if the file is missing or holds no object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}

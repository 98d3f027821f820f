"""Checks that a resumed run has the data and models with which it began.

They may lie elsewhere than before. A prior's run has copies of its tokenizers, which are compared
by their weights. For its images and the model that it began with, RUN/origin.json has hashes.
"""

from pathlib import Path

from torch import nn

from smalti.config import InputError
from smalti.data.split import Split
from smalti.files import atomic_file, write_json
from smalti.model_folder import step_folders
from smalti.plain_data import read_json
from smalti.runs.config import BaseRunConfig, PriorRunConfig
from smalti.runs.folder import begun_config
from smalti.weights import weights_hash

ORIGIN_FILE = "origin.json"


def has_begun(config: BaseRunConfig) -> bool:
    """Whether the run in the folder of a config has a checkpoint."""
    return bool(step_folders(Path(config.out) / "checkpoints"))


def check_same_data(config: BaseRunConfig, split: Split) -> None:
    """Refuse other images than those that a run has begun with, if `data` names other places.

    Raises:
        InputError: the names, sizes or times of their files differ, or are not known.
    """
    begun = begun_config(config)
    if begun is not None and begun.data != config.data:
        same = _read(Path(config.out)).get("data") == split.train.fingerprint()
        why = "whose files have not all the same names, sizes and times"
        _check(config, "data", begun.data, config.data, same, why)


def check_same_codes(config: PriorRunConfig, fingerprint: str) -> None:
    """Refuse other codes than those that a run has begun with, if they lie in another place.

    Raises:
        InputError: their manifests differ.
    """
    begun = begun_config(config)
    if begun is not None and begun.codes.data != config.codes.data:
        same = has_codes(Path(config.out), fingerprint)
        was, now = begun.codes.data, config.codes.data
        _check(config, "codes.data", was, now, same, "whose manifest is another")


def has_codes(run: Path, fingerprint: str) -> bool:
    """Whether the codes that a run was trained on have this fingerprint."""
    return _read(run).get("data") == fingerprint


def check_same_model(
    config: BaseRunConfig, name: str, was: object, now: object, own: nn.Module, other: nn.Module
) -> None:
    """Refuse another model than the one of which a run has a copy.

    Raises:
        InputError: the models differ in config or weights.
    """
    same = own.config == other.config and weights_hash(own) == weights_hash(other)
    _check(config, name, was, now, same, "which is another model")


def check_same_init(config: BaseRunConfig, was: str, now: str, other: nn.Module) -> None:
    """Refuse another model than the one that a run began with.

    Raises:
        InputError: it has other weights, or the former weights are not known.
    """
    same = _read(Path(config.out)).get("init") == weights_hash(other)
    _check(config, "init", was, now, same, "of which the run does not know that it is the same")


def keep_origin(folder: Path, data: str, init: nn.Module | None = None) -> None:
    """Write hashes of a run's data, and at its beginning of the model that it begins with."""
    origin = _read(folder) | {"data": data}
    if init is not None:
        origin["init"] = weights_hash(init)
    with atomic_file(folder / ORIGIN_FILE) as temporary:
        write_json(temporary, origin)


def _read(folder: Path) -> dict[str, str]:
    path = folder / ORIGIN_FILE
    if not path.is_file():
        return {}
    try:
        return dict(read_json(path.read_text(encoding="utf-8"), str(path)))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged: {error}; delete it") from error


def _check(
    config: BaseRunConfig, name: str, was: object, now: object, same: bool, why: str
) -> None:
    if not same:
        was, now = (list(place) if isinstance(place, tuple) else place for place in (was, now))
        raise InputError(
            f"{config.out} was begun with another config: {name} (was {was!r}, now {now!r}, "
            f"{why}); smalti resume {config.out} goes on with the former"
        )

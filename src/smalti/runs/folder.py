"""The folder of a run, in which one process at a time trains by one config.

docs/architecture.md lists the files in it.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from smalti.config import InputError
from smalti.distributed import rank, together
from smalti.environment import environment
from smalti.files import (
    atomic_file,
    check_writable,
    disk_errors,
    remove_leftovers,
    write_json,
)
from smalti.model_folder import BEST, step_folders
from smalti.plain_data import read_json
from smalti.runs.config import BaseRunConfig, RunConfig
from smalti.runs.stored import CHANGEABLE_ON_RECORD, CONFIG_FILE, changes, read_run_config
from smalti.training.checkpoint import check_checkpoints, newest_step
from smalti.training.log import append_line, read_metrics, say
from smalti.training.run_lock import LOCK_FILES, hold_run

ENVIRONMENT_FILE = "env.json"
DAY_SECONDS = 24 * 60 * 60

R = TypeVar("R", bound=BaseRunConfig)


def begun_config(config: R) -> R | None:
    """Read the stored config of the run in a config's folder; None without one of its stage."""
    stored = read_run_config(Path(config.out)) or {}
    if stored.get("stage") != config.stage:
        return None
    try:
        return type(config).model_validate(stored)
    except ValidationError:  # `check_run_folder` names what does not fit
        return None


def check_run_folder(folder: Path, config: BaseRunConfig) -> None:
    """Refuse a folder that `config` cannot begin or resume; changes nothing.

    Options that are auto in the config keep the values that the run began with.

    Raises:
        InputError: it holds another kind of run, a run with another config or with more steps than
            the config has, one whose checkpoints were deleted, or other files, or it cannot be
            written.
    """
    check_writable(folder)
    _check_stored(folder, config)
    check_checkpoints(folder / "checkpoints")
    _check_not_deleted(folder)


def _check_not_deleted(folder: Path) -> None:
    """Refuse a run that has its best model but no checkpoint, and would lose that by a new start.

    A run that was killed before its first checkpoint begins anew.
    """
    checkpoints, stored = folder / "checkpoints", read_run_config(folder)
    training = (stored or {}).get("training")
    if training is None or step_folders(checkpoints) or not (checkpoints / BEST).is_dir():
        return
    done = max((line["step"] for line in read_metrics(folder)), default=0)
    if done > training["save_steps"]:
        raise InputError(
            f"{checkpoints} has no checkpoint left to go on from after {done} steps; train its "
            f"best model further with --init {folder} --out NEW, or move {folder} away to start "
            "anew"
        )


def _check_stored(folder: Path, config: BaseRunConfig) -> None:
    stored = read_run_config(folder)
    if stored is None:
        if folder.is_dir() and any(path.name not in LOCK_FILES for path in folder.iterdir()):
            raise InputError(f"{folder} is not empty and not a run; choose another --out")
        return
    if stored.get("stage") != config.stage:
        raise InputError(
            f"{folder} is a run of stage {stored.get('stage')!r}, not {config.stage!r}; "
            "choose another --out"
        )
    changed = [change for change in changes(stored, config) if not change.is_allowed]
    if changed:
        raise InputError(
            f"{folder} was begun with another config: {', '.join(map(str, changed))}; "
            "use the same command to resume, or another --out"
        )
    done = newest_step(folder / "checkpoints")
    if isinstance(config, RunConfig) and config.training.total_steps < done:
        raise InputError(
            f"{folder} has done {done} steps, so training.total-steps must be at least {done}, got "
            f"{config.training.total_steps}"
        )


@contextlib.contextmanager
def open_run(folder: Path, config: BaseRunConfig) -> Iterator[None]:
    """Context that makes the run folder ready and locks it, so that no second run trains in it.

    Of several processes of a run the first one does it for all.

    Raises:
        InputError: another run trains there, or the folder cannot be written.
    """
    with contextlib.ExitStack() as held:
        with together():
            if rank() == 0:
                held.enter_context(_hold_run(folder, config))
        yield


@contextlib.contextmanager
def _hold_run(folder: Path, config: BaseRunConfig) -> Iterator[None]:
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with hold_run(folder) as ended:
        _check_stored(folder, config)  # another process may have begun the run meanwhile
        for written in (folder, folder / "samples"):
            # Other programs, as `smalti inspect`, may be writing there too.
            remove_leftovers(written, ended.pid if ended else None, DAY_SECONDS)
        _record_changes(folder, config)
        with atomic_file(folder / CONFIG_FILE) as temporary:
            text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
            temporary.write_text(text, encoding="utf-8")
        _note_environment(folder)
        yield


def _note_environment(folder: Path) -> None:
    """Add the present environment to the file of the run, unless it is the last entry."""
    path, here = folder / ENVIRONMENT_FILE, environment()
    known = noted_environments(path)
    if not known or known[-1] != {"from_step": known[-1].get("from_step"), **here}:
        begun = newest_step(folder / "checkpoints")
        with atomic_file(path) as temporary:
            write_json(temporary, [*known, {"from_step": begun, **here}])


def noted_environments(path: Path) -> list[dict[str, Any]]:
    """Read the entries of the file; empty if it is missing or damaged, as nothing depends on it."""
    try:
        noted = read_json(path.read_bytes(), str(path))
    except (OSError, ValueError, RecursionError):
        return []
    return [one for one in noted if isinstance(one, dict)] if isinstance(noted, list) else []


def _record_changes(folder: Path, config: BaseRunConfig) -> None:
    """Print and log options that change from the newest checkpoint on."""
    stored = read_run_config(folder)
    differences = () if stored is None else changes(stored, config)
    recorded = [change for change in differences if change.option in CHANGEABLE_ON_RECORD]
    step = newest_step(folder / "checkpoints") if recorded else 0
    for change in recorded if step else ():  # before step 1 nothing was trained otherwise
        say(f"changed from step {step} on: {change.name} from {change.was} to {change.now}")
        append_line(folder, step, "change", change._asdict())

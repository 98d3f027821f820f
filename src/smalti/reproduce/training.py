"""Trains the planned runs of a study, each from where its folder stands."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from smalti import __version__
from smalti.config import InputError
from smalti.model_folder import BEST
from smalti.plain_data import read_json
from smalti.reproduce.experiment import Experiment, PlannedRun
from smalti.reproduce.folder import SAME_NUMBERS
from smalti.runs.config import BaseRunConfig, PriorRunConfig, RunConfig, VQGANRunConfig
from smalti.runs.folder import ENVIRONMENT_FILE, check_run_folder
from smalti.runs.pixels import train_pixels
from smalti.runs.prior import train_prior
from smalti.runs.prior_plan import adopt_options
from smalti.runs.settle import settle_vqgan
from smalti.runs.vqgan import train_vqgan
from smalti.training.checkpoint import newest_step
from smalti.training.log import say

TRAIN: Mapping[str, Callable[[Any], Path]] = {
    "vqgan": train_vqgan,
    "pixels": train_pixels,
    "prior": train_prior,
}
"""What trains the runs of each stage."""


def train(experiment: Experiment, run: PlannedRun) -> None:
    """Train a run to its end, or nothing if it has ended.

    Raises:
        InputError: the folder holds another run, or an unfinished one of a version that computes
            other numbers, or the data do not allow the run.
        Stopped: a signal stopped the run, after saving.
    """
    config, folder = experiment.config(run), experiment.path(run)
    check_run_folder(folder, _as_begun(config))
    if is_finished(folder, config):
        return
    check_version(folder)
    say(f"\n{run.name}: {run.command}")
    TRAIN[run.stage](config)


def _as_begun(config: BaseRunConfig) -> BaseRunConfig:
    """The config with the options that its run has settled, or would settle."""
    if isinstance(config, VQGANRunConfig):
        return settle_vqgan(config)
    return adopt_options(config, None) if isinstance(config, PriorRunConfig) else config


def is_finished(folder: Path, config: BaseRunConfig) -> bool:
    """Whether a run has done all its steps."""
    checkpoints = folder / "checkpoints"
    if isinstance(config, RunConfig):
        return newest_step(checkpoints) >= config.training.total_steps
    return (checkpoints / BEST).is_dir()


def check_version(folder: Path) -> None:
    """Refuse to go on with a run that a version of smalti began which computes other numbers.

    Raises:
        InputError: such a version began it.
    """
    path = folder / ENVIRONMENT_FILE
    if not path.is_file():
        return
    began = read_json(path.read_bytes(), str(path))[0]["smalti"]
    if began not in SAME_NUMBERS:
        raise InputError(
            f"{folder} was begun by smalti {began} and is not finished, but this is {__version__}; "
            "finish it with that version, or choose another --runs"
        )

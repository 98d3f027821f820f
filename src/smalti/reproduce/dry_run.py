"""`--dry-run` of a study: what each of its runs would take, without training any.

Its tokenizers are not trained yet, so priors are planned with untrained ones of the same shapes,
and data that are missing are replaced by random pictures.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smalti.config import InputError
from smalti.reproduce.data_sets import DATA_SETS
from smalti.reproduce.experiment import Experiment, PlannedRun, in_order
from smalti.reproduce.stand_in import write_stand_in
from smalti.reproduce.study import STUDIES
from smalti.reproduce.training import is_finished
from smalti.runs.config import PixelsRunConfig, PriorRunConfig, VQGANRunConfig
from smalti.runs.dry_run import DryRun, dry_run_pixels, dry_run_prior, dry_run_vqgan
from smalti.tokenizer.config import PixelTokenizerConfig
from smalti.tokenizer.pixels import PixelTokenizer
from smalti.tokenizer.vqgan import VQGAN


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """What a run would take."""

    name: str
    """Name of the run."""
    is_done: bool
    """Whether it has been trained before."""
    is_shared: bool
    """Whether it is trained once for all seeds."""
    steps: int
    """Steps, or iterations of k-means."""
    seconds: float
    memory_bytes: int
    parameters: int
    """Number of parameters of the network that is trained."""
    is_measured: bool
    """Whether the time was measured on this machine, or else estimated from below."""


def estimate(name: str, experiment: Experiment, seed: int) -> Iterator[RunEstimate]:
    """Estimate all runs of one seed of a study.

    Raises:
        InputError: an option of a run is not allowed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        trial = _with_stand_ins(experiment, Path(temporary))
        compared = STUDIES[name]().runs(trial, seed)
        for run in in_order(compared):
            yield replace(
                _estimated(trial, run),
                is_done=is_finished(experiment.path(run), trial.config(run)),
                is_shared=run not in compared,
            )
            _write_untrained(trial, run)


def plan_anyway(
    name: str, experiment: Experiment, seed: int
) -> tuple[list[PlannedRun], Sequence[str]]:
    """The runs of a seed in the order of training, and a line for each data set that is missing.

    In the commands of the runs, such a data set is named by its file.
    """
    missing: dict[str, str] = {}

    def find(data: str) -> str:
        try:
            return experiment.find(data)
        except InputError as error:
            missing[data] = str(error)
            return DATA_SETS[experiment.scale][data].file

    runs = in_order(STUDIES[name]().runs(replace(experiment, find=find), seed))
    return runs, list(missing.values())


def _with_stand_ins(experiment: Experiment, temporary: Path) -> Experiment:
    """The experiment with its runs in a temporary folder, and something for every data set."""

    def find(data: str) -> str:
        try:
            return experiment.find(data)
        except InputError:
            folder = temporary / "data" / data
            if not folder.is_dir():
                write_stand_in(folder, DATA_SETS[experiment.scale][data])
            return str(folder)

    return replace(experiment, find=find, runs_folder=temporary / "runs")


def _estimated(trial: Experiment, run: PlannedRun) -> RunEstimate:
    config = trial.config(run)
    if isinstance(config, PixelsRunConfig):
        palette = dry_run_pixels(config)
        return RunEstimate(
            name=run.name,
            is_done=False,
            is_shared=True,
            steps=config.iterations,
            seconds=palette.iteration_seconds * config.iterations + palette.reading_seconds,
            memory_bytes=palette.memory_bytes,
            parameters=3 * config.codebook_size,
            is_measured=True,
        )
    if isinstance(config, PriorRunConfig):
        found = dry_run_prior(config)
        parameters = found.parameters["prior"]
    else:
        assert isinstance(config, VQGANRunConfig)
        found = dry_run_vqgan(config)
        of_tokenizer = ("encoder", "decoder", "codebook, and to and from it")
        parameters = sum(found.parameters[part] for part in of_tokenizer)
    return _of_training(run, found, parameters)


def _of_training(run: PlannedRun, found: DryRun, parameters: int) -> RunEstimate:
    steps = found.config.training.total_steps
    return RunEstimate(
        name=run.name,
        is_done=False,
        is_shared=False,
        steps=steps,
        seconds=found.time.seconds * steps + (found.encoding_seconds or 0.0),
        memory_bytes=found.cost.memory_bytes,
        parameters=parameters,
        is_measured=found.time.speed is None,
    )


def _write_untrained(trial: Experiment, run: PlannedRun) -> None:
    """Write a tokenizer with random weights where a prior looks for a trained one."""
    config = trial.config(run)
    if isinstance(config, VQGANRunConfig):
        VQGAN(config.vqgan).save_pretrained(trial.path(run))
    elif isinstance(config, PixelsRunConfig):
        untrained = PixelTokenizerConfig(codebook_size=config.codebook_size)
        PixelTokenizer(untrained).save_pretrained(trial.path(run))

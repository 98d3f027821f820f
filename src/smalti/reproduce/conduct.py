"""Conducts a study: trains, measures and writes its page, seed by seed."""

from collections.abc import Sequence
from pathlib import Path

from smalti.reproduce.experiment import Experiment
from smalti.reproduce.folder import (
    check_study_folder,
    claim_folder,
    complete_results,
    seed_results,
)
from smalti.reproduce.page import planned, write_page
from smalti.reproduce.study import STUDIES
from smalti.reproduce.training import train
from smalti.training.log import say


def conduct(name: str, experiment: Experiment, seeds: Sequence[int]) -> Path:
    """Conduct a study from where its folder stands.

    The page is written after each seed, and has all seeds that the folder has.

    Args:
        name: name of the study.
        experiment: its scale and folders.
        seeds: seeds to do, at least one.

    Returns:
        The page.

    Raises:
        InputError: data are missing, or a folder belongs to something else; nothing was written.
        Stopped: a signal stopped a run, after saving.
    """
    study = STUDIES[name]()
    check_study_folder(name, experiment)
    for run in planned(study, experiment, seeds):
        experiment.config(run)  # an option that is not allowed shows before anything is trained
    claim_folder(name, experiment)
    page = experiment.folder
    for seed in seeds:
        results = seed_results(experiment, seed)
        for run in planned(study, experiment, [seed]):
            train(experiment, run)
        say(f"\n{name}, seed {seed}: measuring")
        study.measure(experiment, seed, results)
        study.draw(experiment, seed, experiment.folder / "pictures" / f"seed-{seed}")
        results.complete()
        experiment.remove_unfinished(seed)
        page = write_page(name, study, experiment, complete_results(experiment))
        say(f"{name}, seed {seed}: done, {page}")
    return page

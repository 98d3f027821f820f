"""The folder of a study, which belongs to one study at one scale with one budget."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from smalti import __version__
from smalti.config import Config, InputError
from smalti.files import atomic_file, check_writable, write_json
from smalti.plain_data import read_json
from smalti.reproduce.experiment import Experiment
from smalti.reproduce.results import Results

STUDY_FILE = "study.json"
SAME_NUMBERS = frozenset({"0.1.0", "0.2.0"})
"""Versions of smalti whose runs learn, and whose studies measure, the same numbers as this one. A
version that computes something else than the one before it stands here alone."""
SEEDS_FOLDER = "seeds"


class StoredStudy(Config):
    """What a folder of a study belongs to."""

    study: str
    scale: str
    budget: float
    version: str
    """Version of smalti that began it."""


def check_study_folder(name: str, experiment: Experiment) -> None:
    """Refuse a folder that does not belong to the study; changes nothing.

    Raises:
        InputError: it has other files, or belongs to another study, scale, budget or version, or
            cannot be written.
    """
    folder = experiment.folder
    check_writable(folder)
    wanted, stored = _wanted(name, experiment), _stored(folder)
    if stored is None:
        own = {experiment.runs_folder.name}
        if folder.is_dir() and any(path.name not in own for path in folder.iterdir()):
            raise InputError(f"{folder} is not empty and of no study; choose another --out")
        return
    for (field, its), (_, ours) in zip(stored, wanted, strict=True):
        if its != ours and not (field == "version" and its in SAME_NUMBERS):
            raise InputError(
                f"{folder} belongs to the {field} {its}, not {ours}; choose another --out"
            )


def claim_folder(name: str, experiment: Experiment) -> None:
    """Write what the folder belongs to, unless it is written already."""
    if _stored(experiment.folder) is not None:
        return
    with atomic_file(experiment.folder / STUDY_FILE) as temporary:
        write_json(temporary, _wanted(name, experiment).model_dump(mode="json"))


def seed_results(experiment: Experiment, seed: int) -> Results:
    """The results of a seed, perhaps empty.

    Raises:
        InputError: their file is damaged.
    """
    return Results(experiment.folder / SEEDS_FOLDER / f"{seed}.json")


def complete_results(experiment: Experiment) -> Mapping[int, Results]:
    """The results of all complete seeds in the folder.

    Raises:
        InputError: a file is damaged.
    """
    files = (experiment.folder / SEEDS_FOLDER).glob("*.json")
    seeds = sorted(int(path.stem) for path in files if path.stem.isdigit())
    found = {seed: seed_results(experiment, seed) for seed in seeds}
    return {seed: results for seed, results in found.items() if results.is_complete}


def _wanted(name: str, experiment: Experiment) -> StoredStudy:
    return StoredStudy(
        study=name, scale=experiment.scale, budget=experiment.budget, version=__version__
    )


def _stored(folder: Path) -> StoredStudy | None:
    path = folder / STUDY_FILE
    if not path.is_file():
        return None
    try:
        return StoredStudy.model_validate(read_json(path.read_bytes(), str(path)))
    except (ValidationError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged; choose another --out") from error

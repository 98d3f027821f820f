"""`smalti reproduce STUDY`: trains, measures and judges a comparison of the paper."""

import argparse
import contextlib
import logging
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from smalti.cli.arguments import Parser, expanded_path, number
from smalti.cli.arguments import seed as seed_of
from smalti.reproduce.data_sets import DATA_SETS

if TYPE_CHECKING:
    from smalti.reproduce.dry_run import RunEstimate
    from smalti.reproduce.experiment import Experiment

RUNS = "reproduce/runs"
MIB = 2**20


def run(arguments: Sequence[str]) -> None:
    """Conduct a study, or show what it would take."""
    options = parser().read(arguments)
    out = Path(options.out or f"reproduce/{options.study}-{options.scale}")

    from smalti.cli.train_config import read_config
    from smalti.compute import choose_compute
    from smalti.reproduce.conduct import conduct
    from smalti.reproduce.experiment import Experiment
    from smalti.reproduce.studies import STUDIES
    from smalti.runs.config import ROOTS

    STUDIES[options.study]  # an unknown name shows first
    choose_compute(options.device)
    experiment = Experiment.in_folders(
        options.scale,
        out,
        Path(options.runs),
        options.data,
        lambda stage, words: read_config(ROOTS[stage], words),
        options.budget,
        options.device,
    )
    if options.dry_run:
        _describe(options.study, experiment, options.seeds)
    else:
        print(f"done: {conduct(options.study, experiment, options.seeds)}")


def _describe(study: str, experiment: "Experiment", seeds: Sequence[int]) -> None:
    """Print what the runs of a study would take; trains nothing."""
    from smalti.reproduce.dry_run import estimate, plan_anyway

    runs, missing = plan_anyway(study, experiment, seeds[0])
    print(f"{study} at the scale {experiment.scale}: only a plan; nothing is trained")
    print(f"{'run':44}{'parameters':>13}{'steps':>9}{'memory':>11}{'time':>12}")
    estimates = []
    with _each_line_once():
        for found in estimate(study, experiment, seeds[0]):
            estimates.append(found)
            print(_line(found))
    once = sum(one.seconds for one in estimates if one.is_shared and not one.is_done)
    each = sum(one.seconds for one in estimates if not one.is_shared)
    print(f"shared runs, once: {_hours(once)}; a seed: {_hours(each)}; ", end="")
    print(f"all {len(seeds)} seeds: {_hours(once + len(seeds) * each)}")
    print("not counted: evaluation, pictures, checkpoints, sampling and measuring")
    for line in missing:
        print(f"missing: {line}; planned with random pictures")
    print(f"\ncommands, for seed {seeds[0]}:")
    for one in runs:
        print(f"  {one.command}")


@contextlib.contextmanager
def _each_line_once() -> Iterator[None]:
    """Context in which the log shows a line once: all runs of a data set skip the same images."""
    shown: set[str] = set()

    def is_new(record: logging.LogRecord) -> bool:
        line = record.getMessage()
        is_known = line in shown
        shown.add(line)
        return not is_known

    handlers = tuple(logging.getLogger("smalti").handlers)
    for handler in handlers:
        handler.addFilter(is_new)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_new)


def _line(found: "RunEstimate") -> str:
    time = (
        "done" if found.is_done else f"{'' if found.is_measured else '> '}{_hours(found.seconds)}"
    )
    return (
        f"{found.name:44}{found.parameters:>13,}{found.steps:>9,}"
        f"{found.memory_bytes / MIB:>7,.0f} MiB{time:>12}"
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _seeds(text: str) -> list[int]:
    """Type of an argument that is one or several seeds, each once."""
    seeds = [seed_of(part) for part in text.split(",")]
    for seed in seeds:
        if seeds.count(seed) > 1:
            raise argparse.ArgumentTypeError(f"has the seed {seed} twice")
    return seeds


def _budget(text: str) -> float:
    budget = number(text)
    if not 0 < budget <= 1000:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 1000, got {text}")
    return budget


def names() -> list[str]:
    """Names of the studies, by their files."""
    folder = Path(str(resources.files("smalti") / "reproduce" / "studies"))
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


def parser() -> Parser:
    """The options of the command."""
    made = Parser(
        "reproduce",
        "Reproduce a comparison of the paper: train its runs, measure them, and write a page with "
        "our table beside the paper's, plots, pictures, commands, and whether the paper's ordering "
        "appears over the seeds. The same command goes on where it was stopped.",
    )
    made.add_argument("study", help=f"one of {', '.join(names())}")
    made.add_argument(
        "--scale",
        choices=list(DATA_SETS),
        default="tiny",
        help="tiny is for a processor core, small for a graphics card and a day, paper has the "
        "sizes of the paper's Table 3",
    )
    made.add_argument(
        "--data",
        type=expanded_path,
        nargs="+",
        default=["."],
        help="folders in which the data sets lie; a message names what is missing",
    )
    made.add_argument(
        "--out",
        type=expanded_path,
        help="folder of the study, with its page (default: reproduce/STUDY-SCALE)",
    )
    made.add_argument(
        "--runs", type=expanded_path, default=RUNS, help="folder of the runs, which studies share"
    )
    made.add_argument(
        "--seeds",
        type=_seeds,
        default=[0, 1, 2],
        help="seeds to do; the page has all seeds that --out has (default: 0,1,2)",
    )
    made.add_argument(
        "--budget",
        type=_budget,
        default=1.0,
        help="factor of the steps of the compared runs, to see what more training changes; "
        "tokenizers keep theirs",
    )
    made.add_argument(
        "--dry-run", action="store_true", help="show all runs with their time and memory"
    )
    made.add_device()
    return made

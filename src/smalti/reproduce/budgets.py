"""The NLL of priors that are compared on one data set, at equal steps and at equal seconds."""

from collections.abc import Mapping
from functools import partial

import torch

from smalti.prior.build import build_prior
from smalti.reproduce.experiment import Experiment, PlannedRun
from smalti.reproduce.nll import lowest_until, nll_curve
from smalti.reproduce.paces import seconds_a_step
from smalti.reproduce.results import Results
from smalti.runs.config import PriorRunConfig
from smalti.runs.prior_plan import plan_prior
from smalti.weights import count_parameters


def add_budgets(
    experiment: Experiment, results: Results, cell: str, runs: Mapping[str, PlannedRun]
) -> None:
    """Add curves and figures of trained priors: `CELL/steps/NAME`, `/time/`, `/seconds/`.

    The curve `CELL/NAME` is that of NLL over the time of training. Its unit is a step of the first
    prior, which is the same for all seeds, although their seconds were measured at other times.

    Args:
        experiment: where the runs lie.
        results: of a seed.
        cell: name of the data set.
        runs: the priors by name.
    """
    results.measure(f"{cell}/seconds", partial(seconds_a_step, experiment, runs))
    curves = {name: nll_curve(experiment.path(run)) for name, run in runs.items()}
    paces = {name: results.figures[f"{cell}/seconds/{name}"] for name in runs}
    unit = paces[next(iter(runs))]
    for name, curve in curves.items():
        results.add_curve(
            f"{cell}/{name}", [(step * paces[name] / unit, nll) for step, nll in curve]
        )
    steps = min(curve[-1][0] for curve in curves.values())
    seconds = min(curve[-1][0] * paces[name] for name, curve in curves.items())
    at_steps = {name: lowest_until(curve, steps) for name, curve in curves.items()}
    at_seconds = {
        name: lowest_until(curve, seconds / paces[name]) for name, curve in curves.items()
    }
    results.add(f"{cell}/steps", at_steps)
    results.add(f"{cell}/time", at_seconds)


def add_sizes(
    experiment: Experiment, results: Results, cell: str, runs: Mapping[str, PlannedRun], first: str
) -> None:
    """Add `CELL/parameters/NAME` in millions, and `CELL/pace/NAME`, time relative to the first."""
    results.measure(f"{cell}/parameters", partial(_parameters, experiment, runs))
    seconds = {name: results.figures[f"{cell}/seconds/{name}"] for name in runs}
    results.add(f"{cell}/pace", {name: pace / seconds[first] for name, pace in seconds.items()})


def _parameters(experiment: Experiment, runs: Mapping[str, PlannedRun]) -> dict[str, float]:
    found = {}
    for name, run in runs.items():
        config = experiment.config(run)
        assert isinstance(config, PriorRunConfig)
        model = plan_prior(config).model_config
        with torch.device("meta"):
            found[name] = count_parameters(build_prior(model.prior, model.sizes)) / 1e6
    return found

"""Held-out NLL of trained priors, as their runs have logged it.

The scores are of the averaged weights, on the same held-out images for all runs of a comparison.
"""

from pathlib import Path

import numpy as np

from smalti.reproduce.results import Points
from smalti.training.log import read_metrics


def nll_curve(folder: Path) -> Points:
    """Steps and NLL, in nats a token, of all evaluations of a run."""
    return score_curve(folder, "nll")


def score_curve(folder: Path, score: str) -> Points:
    """Steps and values of a score of all evaluations of a run."""
    lines = [line for line in read_metrics(folder) if line["group"] == "eval" and score in line]
    return [(line["step"], line[score]) for line in lines]


def lowest_until(curve: Points, x: float) -> float:
    """The lowest value of a curve up to x, with the value at x interpolated.

    It is the score of the model that would be kept if the run had ended there.
    """
    places, values = zip(*curve, strict=True)
    before = [value for place, value in curve if place <= x]
    return min(*before, float(np.interp(x, places, values))) if before else values[0]

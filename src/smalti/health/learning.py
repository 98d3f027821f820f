"""Findings of both stages: numbers that are not finite, over-fitting, waiting for data."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import fmean

from smalti.health.findings import Finding
from smalti.health.history import RECENT_LINES, History, Line, all_rise

# Three rises in a row are no chance; the share keeps tiny drifts at a plateau out.
OVER_FITTING_RISES = 3
OVER_FITTING_SHARE = 0.01
# New weights are a little above it, and their average stays so for a while.
ABOVE_UNIFORM = 1.01
UNIFORM_EVALUATIONS = 3
# With enough workers, decoding costs no time at all.
LONG_WAIT = 0.3
OVER_FITTING_ADVICE = {
    "reconstruction_loss": "use more images, a smaller --vqgan.channels, or fewer steps",
    "nll": "use more images, more --codes.views, a higher --prior.dropout, a lower "
    "--token-keep, or fewer steps",
}


def not_finite(history: History) -> Finding | None:
    """A loss or weight became NaN or infinite and ended the run."""
    ends = history.of_group("not_finite")
    if not ends:
        return None
    return Finding("not_finite", f"the run ended: {ends[-1]['what']}", ends[-1]["advice"])


def over_fitting(history: History) -> Finding | None:
    """Training images get better while held-out images get worse."""
    if not history.has_other_images:
        return None
    for name, advice in OVER_FITTING_ADVICE.items():
        evaluations = history.evaluations(name)[-OVER_FITTING_RISES - 1 :]
        scores = [line[name] for line in evaluations]
        if len(scores) <= OVER_FITTING_RISES or not all_rise(scores):
            continue
        trained = list(_means_between(history.train(name), evaluations, name))
        rise = scores[-1] / scores[0] - 1 if scores[0] else 0.0
        if rise < OVER_FITTING_SHARE or not all_rise(trained[::-1]):
            continue
        return Finding(
            "over_fitting",
            f"over-fitting: {name} of {history.scored} rose by {rise:.1%} over "
            f"{OVER_FITTING_RISES} evaluations while that of training fell",
            f"{advice}; the best model so far is kept in checkpoints/best",
        )
    return None


def worse_than_uniform(history: History) -> Finding | None:
    """The prior gives evaluated images a lower probability than equally likely codes would."""
    evaluations = history.evaluations("nll", "nll_uniform")[-UNIFORM_EVALUATIONS:]
    if len(evaluations) < UNIFORM_EVALUATIONS:
        return None
    if not all(line["nll"] > ABOVE_UNIFORM * line["nll_uniform"] for line in evaluations):
        return None
    now = evaluations[-1]
    return Finding(
        "worse_than_uniform",
        f"worse than knowing nothing: nll of {history.scored} is {now['nll']:.3f}, that of codes "
        f"that are all equally likely {now['nll_uniform']:.3f}",
        "a lower --optimizer.learning-rate while the nll of training is as high; more images, or "
        "a smaller --prior.width and --prior.layers, where it is far lower",
    )


def _means_between(
    lines: Sequence[Line], evaluations: Sequence[Line], name: str
) -> Iterator[float]:
    """Mean of a training number between each two evaluations."""
    for start, end in pairwise(line["step"] for line in evaluations):
        between = [line[name] for line in lines if start < line["step"] <= end]
        if between:
            yield fmean(between)


def waiting_for_data(history: History) -> Finding | None:
    """Much of the time goes into reading images, while the processor or graphics card idles."""
    lines = history.recent("data_wait")[-RECENT_LINES:]
    if not lines:
        return None
    wait = fmean(line["data_wait"] for line in lines)
    if wait <= LONG_WAIT:
        return None
    return Finding(
        "waiting_for_data",
        f"waiting for data: {wait:.0%} of the time goes into reading images",
        "raise --training.workers; images stored near the size of --image.size decode faster",
    )

"""Whether an ordering of the paper appears: a comparison over seeds, with its error."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from smalti.reproduce.results import Results

Outcome = Literal["holds", "undecided", "reversed", "too few seeds"]
FEWEST_SEEDS = 3
FEWEST_ERRORS = 2.0
"""So many standard errors the mean must be away from 0 for a verdict."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An ordering of the paper: a figure of one side is lower than that of the other."""

    text: str
    """The claim in words, Markdown."""
    lower: str
    """Name of the figure that is lower in the paper."""
    higher: str
    """Name of the figure that is higher in the paper."""
    paper: float | None = None
    """The paper's difference between the two, or their ratio; None if it gives no number."""
    is_ratio: bool = False
    """Whether the sides are compared by their ratio, as seconds are, and not by their
    difference."""

    def margin(self, figures: Mapping[str, float]) -> float:
        """How far a seed agrees with the paper: above 0 if its sign is the paper's."""
        lower, higher = figures[self.lower], figures[self.higher]
        return math.log(higher / lower) if self.is_ratio else higher - lower

    def shown(self, margin: float) -> str:
        """A margin as text."""
        return f"{math.exp(margin):.3g} times" if self.is_ratio else f"{margin:+.4g}"

    @property
    def paper_shown(self) -> str:
        """The paper's margin as text."""
        if self.paper is None:
            return "no number"
        return f"{self.paper:g} times" if self.is_ratio else f"{self.paper:+.4g}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim beside the margins of all seeds."""

    claim: Claim
    margins: Mapping[int, float]
    """Margin of each seed."""

    @property
    def mean(self) -> float:
        """Mean of the margins."""
        return statistics.fmean(self.margins.values())

    @property
    def error(self) -> float | None:
        """Standard error of the mean; None of a single seed."""
        return standard_error(list(self.margins.values()))

    @property
    def signs(self) -> str:
        """The sign of each seed's margin, in the order of the seeds."""
        values = (self.margins[seed] for seed in sorted(self.margins))
        return " ".join("+" if value > 0 else "-" if value < 0 else "0" for value in values)

    @property
    def outcome(self) -> Outcome:
        """The verdict: all seeds must have one sign, and the mean be two errors away from 0."""
        if self.error is None or len(self.margins) < FEWEST_SEEDS:
            return "too few seeds"
        signs = set(self.signs.split())
        is_clear = abs(self.mean) > FEWEST_ERRORS * self.error
        if is_clear and signs == {"+"}:
            return "holds"
        return "reversed" if is_clear and signs == {"-"} else "undecided"

    @property
    def shown(self) -> str:
        """Mean and standard error of the margin as text."""
        if self.error is None:
            return self.claim.shown(self.mean)
        if self.claim.is_ratio:
            low, high = (math.exp(self.mean + sign * self.error) for sign in (-1, 1))
            return f"{self.claim.shown(self.mean)} ({low:.3g} to {high:.3g})"
        return f"{self.claim.shown(self.mean)} ± {self.error:.2g}"


def judge(claim: Claim, results: Mapping[int, Results]) -> Verdict:
    """Compare the two sides of a claim in the results of each seed."""
    return Verdict(claim, {seed: claim.margin(one.figures) for seed, one in results.items()})


def standard_error(values: Sequence[float]) -> float | None:
    """Standard error of the mean of values; None of a single one."""
    return statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def mean_and_error(values: Sequence[float]) -> str:
    """Mean and standard error of values as text, the error with two digits."""
    mean, error = statistics.fmean(values), standard_error(values)
    if error is None or error == 0:
        return f"{mean:#.4g}".rstrip(".")
    digits = max(0, 1 - math.floor(math.log10(error)))
    return f"{mean:.{digits}f} ± {error:.{digits}f}"

"""Which images a run learns from, and whether its scores are of others: the one place that knows.

A run writes it into its metrics. Whatever speaks of scores (the log, the health report, the curves,
the run's page, `smalti inspect`) takes the words from here.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from smalti.data.dataset import Split

GROUP = "images"


@dataclass(frozen=True, slots=True)
class RunImages:
    """The images of a run, as a line of its metrics."""

    training: int
    """Images that it learns from."""
    held_out: int
    """Images that it does not learn from, which its scores are of. Where there are none, the scores
    are of training images."""

    @classmethod
    def of(cls, split: Split) -> Self:
        """The images of a data set that was divided."""
        return cls(len(split.train), 0 if split.held_out is None else len(split.held_out))

    @classmethod
    def last(cls, lines: Sequence[dict[str, Any]]) -> Self | None:
        """What the newest such line of a run's metrics says; None for runs of older versions."""
        for line in reversed(lines):
            if line["group"] == GROUP:
                return cls(line["training"], line["held_out"])
        return None

    @property
    def scored(self) -> str:
        """What the scores are of, in words."""
        return "held-out images" if self.held_out else "training images"

    @property
    def line(self) -> dict[str, object]:
        """Fields of its line in the metrics."""
        return asdict(self)

    def __str__(self) -> str:
        held_out = f"{self.held_out:,} held out"
        if not self.held_out:
            held_out = f"none held out: scores are of {self.scored}"
        return f"{self.training:,} training images, {held_out}"


def scored_images(lines: Sequence[dict[str, Any]]) -> str:
    """What the scores of a run are of, in words, by the lines of its metrics.

    Runs of older versions did not write it down; theirs are called evaluated images.
    """
    images = RunImages.last(lines)
    return "evaluated images" if images is None else images.scored

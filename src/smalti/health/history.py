"""What a rule of the health report asks of the lines of a run's metrics."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from smalti.health.findings import RemedyKind
from smalti.health.run_images import RunImages, scored_images

Line = dict[str, Any]

# A batch's numbers are noisy and a discriminator needs time: what is judged must last this long.
RECENT_LINES = 10
RECENT_STEPS = 100


class History:
    """The lines of a run's `metrics.jsonl`, selected by their content."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines

    def train(self, *names: str) -> list[Line]:
        """Lines of training steps that have all these numbers."""
        return [line for line in self.of_group("train") if _has(line, names)]

    def evaluations(self, *names: str) -> list[Line]:
        """Lines of evaluations that have all these numbers."""
        return [line for line in self.of_group("eval") if _has(line, names)]

    def recent(self, *names: str) -> list[Line]:
        """The newest training lines with these numbers; empty while they span too few steps."""
        lines = self.train(*names)
        for start in range(len(lines) - RECENT_LINES, -1, -1):
            if lines[-1]["step"] - lines[start]["step"] >= RECENT_STEPS:
                return lines[start:]
        return []

    def since_remedy(self, remedy: RemedyKind) -> "History":
        """The lines after this remedy was last applied, which judge whether it works."""
        applied = [line["step"] for line in self.of_group("remedy") if line["remedy"] == remedy]
        after = max(applied, default=-1)
        return History([line for line in self._lines if line["step"] > after])

    @property
    def scored(self) -> str:
        """Words for the evaluated images: held-out images, training images, ..."""
        return scored_images(self._lines)

    @property
    def has_other_images(self) -> bool:
        """Whether held-out images are evaluated; for runs of older versions it is assumed."""
        images = RunImages.last(self._lines)
        return images is None or images.held_out > 0

    def last_findings(self) -> list[str]:
        """Kinds of the findings of the last examination."""
        examined = self.of_group("health")
        return list(examined[-1]["findings"]) if examined else []

    def of_group(self, group: str) -> list[Line]:
        """Lines of a group; docs/architecture.md lists them."""
        return [line for line in self._lines if line["group"] == group]


def _has(line: Line, names: Sequence[str]) -> bool:
    """Whether a line has all these numbers; null stands for NaN and infinity."""
    return all(line.get(name) is not None for name in names)


def all_rise(values: Sequence[float]) -> bool:
    """Whether there are several values, each higher than the one before."""
    return len(values) > 1 and all(after > before for before, after in pairwise(values))

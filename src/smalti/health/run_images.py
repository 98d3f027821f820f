"""The images from which a run learns, and those on which it is evaluated.

A run writes their numbers into its metrics. The log, the health report, the curves, the run's page
and `smalti inspect` take the words for the evaluated images from here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from smalti.data.split import Split

GROUP = "images"


@dataclass(frozen=True, slots=True)
class RunImages:
    """The images of a run, as a line of its metrics."""

    training: int
    """Number of training images."""
    held_out: int
    """Number of held-out images, on which the run is evaluated. Without any, it is evaluated on
    training images."""
    tokenizers_saw: Mapping[str, int | None] = field(default_factory=dict)
    """For a prior, how many of the held-out images its tokenizer, and the tokenizer of each
    condition by its kind, was trained on, by the images' names; None if that is not known."""

    @classmethod
    def of(cls, split: Split, tokenizers_saw: Mapping[str, int | None] | None = None) -> Self:
        """Count the images of a data set that was split."""
        held_out = 0 if split.held_out is None else len(split.held_out)
        return cls(len(split.train), held_out, tokenizers_saw or {})

    @classmethod
    def last(cls, lines: Sequence[dict[str, Any]]) -> Self | None:
        """Read the newest such line of a run's metrics; None for runs of older versions."""
        for line in reversed(lines):
            if line["group"] == GROUP:
                return cls(line["training"], line["held_out"], line.get("tokenizers_saw", {}))
        return None

    @property
    def scored(self) -> str:
        """Words for the evaluated images."""
        return "held-out images" if self.held_out else "training images"

    @property
    def line(self) -> dict[str, object]:
        """Fields of the line in the metrics."""
        line: dict[str, object] = {"training": self.training, "held_out": self.held_out}
        return line | ({"tokenizers_saw": self.tokenizers_saw} if self.tokenizers_saw else {})

    @property
    def overlap_in_words(self) -> list[str]:
        """For each tokenizer of a prior, a line on the held-out images that it was trained on."""
        return [self._overlap(*entry) for entry in self.tokenizers_saw.items()]

    def _overlap(self, kind: str, seen: int | None) -> str:
        name = "the tokenizer" if kind == "tokenizer" else f"the tokenizer of {kind}"
        if seen is None:
            return (
                f"which images {name} was trained on is not known (it was imported, is a bare "
                "model or of an older version): it may have seen the held-out images"
            )
        if not seen:
            return f"{name} was trained on none of the {self.held_out:,} held-out images"
        return (
            f"{name} was trained on {seen:,} of the {self.held_out:,} held-out images, by their "
            "names: they are new to the prior, but not to it"
        )

    def __str__(self) -> str:
        held_out = f"{self.held_out:,} held out"
        if not self.held_out:
            held_out = f"none held out: scores are of {self.scored}"
        return f"{self.training:,} training images, {held_out}"


def scored_images(lines: Sequence[dict[str, Any]]) -> str:
    """Words for the evaluated images of a run, by the lines of its metrics.

    Runs of older versions did not write which they were; theirs are called evaluated images.
    """
    images = RunImages.last(lines)
    return "evaluated images" if images is None else images.scored

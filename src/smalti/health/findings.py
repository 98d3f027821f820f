"""Faults of a run in words, with what to change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

FindingKind = Literal[
    "not_finite",
    "codebook_collapse",
    "discriminator_too_strong",
    "discriminator_stuck",
    "adversary_dominates",
    "over_fitting",
    "worse_than_uniform",
    "waiting_for_data",
]
RemedyKind = Literal["restart_codes", "slow_discriminator", "soften_adversary"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of a run."""

    kind: FindingKind
    message: str
    """The fault in words, with the figures that show it."""
    advice: str
    """What to change, with the names of the options."""
    remedy: RemedyKind | None = None
    """Remedy that is safe to apply while the run goes on, or None if there is none."""

    @property
    def flag(self) -> str:
        """A few words for the progress line."""
        return f"{self.kind.replace('_', ' ')}!"

    @property
    def in_words(self) -> str:
        """Message and advice in one line."""
        return f"{self.message}. What to change: {self.advice}"


def in_words(findings: Sequence[Finding]) -> list[str]:
    """Lines for people; a line says so if nothing is wrong."""
    return [finding.in_words for finding in findings] or ["nothing wrong is seen"]

"""What a study is: named runs, what is measured of them, a table beside the paper's, and claims."""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from smalti.registry import Registry
from smalti.reproduce.experiment import Experiment, PlannedRun
from smalti.reproduce.results import Results
from smalti.reproduce.verdict import Claim


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a study's table."""

    label: str
    figures: Sequence[str]
    """Name of the figure in each column."""
    paper: Sequence[str] = ()
    """The paper's number in each column as text; empty if it has no such row."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of figures, averaged over the seeds, beside the paper's numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of curves or of points, averaged over the seeds."""

    name: str
    """Name of its file, without the suffix."""
    x: str
    y: str
    curves: Mapping[str, str] = field(default_factory=dict)
    """Label of each curve, and its name in the results."""
    points: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Label of each point, and the names of its figures x and y."""
    is_log: bool = False
    """Whether both axes are logarithmic."""


class Study(abc.ABC):
    """A comparison of the paper, at any scale."""

    title: ClassVar[str]
    paper: ClassVar[str]
    """What the paper compares and finds, Markdown."""
    remarks: ClassVar[str] = ""
    """What to know of the paper's numbers and of these, Markdown."""

    @abc.abstractmethod
    def runs(self, experiment: Experiment, seed: int) -> Sequence[PlannedRun]:
        """The compared runs of a seed; the runs that they need are trained before them.

        Raises:
            InputError: data are missing.
        """

    @abc.abstractmethod
    def measure(self, experiment: Experiment, seed: int, results: Results) -> None:
        """Measure the trained runs of a seed. What is in the results is not measured again."""

    @abc.abstractmethod
    def tables(self, scale: str) -> Sequence[Table]:
        """The tables of the page."""

    @abc.abstractmethod
    def claims(self, scale: str) -> Sequence[Claim]:
        """The orderings of the paper that are judged."""

    def plots(self, scale: str) -> Sequence[Plot]:
        """The plots of the page."""
        return ()

    @abc.abstractmethod
    def draw(self, experiment: Experiment, seed: int, folder: Path) -> None:
        """Write pictures of a seed as PNG into a folder; those that exist may stay."""


STUDIES: Registry[Study] = Registry("study")
"""The studies by name."""

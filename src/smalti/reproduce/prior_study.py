"""A study that compares priors of several kinds on the same codes, on one or several data sets."""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from smalti.reproduce.budgets import add_budgets, add_sizes
from smalti.reproduce.experiment import Experiment, PlannedRun, PriorSetup
from smalti.reproduce.results import Results
from smalti.reproduce.study import Plot, Row, Study, Table

FIGURES = {
    "steps": "NLL at equal steps",
    "time": "NLL at equal seconds",
    "parameters": "parameters, M",
    "pace": "time of a step, relative",
}


class PriorStudy(Study):
    """Priors that are compared by their NLL at equal steps and at equal seconds.

    A cell is a data set. Figures are called `CELL/steps/KIND`, `CELL/time/KIND` and so on.
    """

    name: ClassVar[str]
    """What the names of the runs begin with."""
    cells: ClassVar[Mapping[str, Mapping[str, PriorSetup]]]
    """Data sets by scale and name."""
    cell_labels: ClassVar[Mapping[str, str]]
    """The name of each data set for people."""
    labels: ClassVar[Mapping[str, str]]
    """The name of each kind for people. The first kind is what the others are compared with."""

    @abc.abstractmethod
    def options(self, setup: PriorSetup) -> Mapping[str, str]:
        """Options of each kind that is possible on a data set, for the steps of the setup."""

    def runs(self, experiment: Experiment, seed: int) -> Sequence[PlannedRun]:
        """A prior of each kind for each data set."""
        cells = self.cells[experiment.scale]
        return [run for cell in cells for run in self.runs_of(experiment, seed, cell).values()]

    def runs_of(self, experiment: Experiment, seed: int, cell: str) -> dict[str, PlannedRun]:
        """The priors of one data set, by kind."""
        setup = self.cells[experiment.scale][cell]
        options = self.options(replace(setup, steps=experiment.grown(setup.steps)))
        return {
            kind: experiment.prior(f"{self.name}-{cell}-{kind}", seed, setup, words.split())
            for kind, words in options.items()
        }

    def measure(self, experiment: Experiment, seed: int, results: Results) -> None:
        """NLL at equal steps and equal seconds, parameters and pace."""
        for cell in self.cells[experiment.scale]:
            runs = self.runs_of(experiment, seed, cell)
            add_budgets(experiment, results, cell, runs)
            add_sizes(experiment, results, cell, runs, next(iter(runs)))

    def tables(self, scale: str) -> Sequence[Table]:
        """One table for each data set."""
        return [
            Table(
                self.cell_labels[cell],
                list(FIGURES.values()),
                [
                    Row(self.labels[kind], [f"{cell}/{figure}/{kind}" for figure in FIGURES])
                    for kind in self.options(setup)
                ],
            )
            for cell, setup in self.cells[scale].items()
        ]

    def plots(self, scale: str) -> Sequence[Plot]:
        """The NLL over the time of training, for each data set."""
        first = next(iter(self.labels.values()))
        return [
            Plot(
                f"nll_{cell}",
                f"time of training, in steps of {first} ({self.cell_labels[cell]})",
                "NLL of unseen images, nats a token",
                {self.labels[kind]: f"{cell}/{kind}" for kind in self.options(setup)},
            )
            for cell, setup in self.cells[scale].items()
        ]

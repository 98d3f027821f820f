"""Plots numbers of several runs together, over steps and over time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

from smalti.config import InputError
from smalti.files import atomic_file
from smalti.health.history import Line
from smalti.health.run_images import scored_images
from smalti.runs.state import RunState, read_run

TOPICS: Mapping[str, Mapping[str, str]] = {
    "losses": {
        "reconstruction_loss": "reconstruction loss",
        "pixel_loss": "pixel loss",
        "perceptual_loss": "perceptual loss",
        "generator_loss": "generator loss",
        "discriminator_loss": "discriminator loss",
        "psnr_db": "PSNR, dB",
        "mean_iou": "mean IoU",
    },
    "nll": {"nll": "NLL, nats a token"},
    "codes": {
        "code_use": "share of codes used",
        "code_perplexity": "perplexity of the codes",
        "dead_codes": "dead codes",
    },
}
"""For each picture, by its name, the numbers that it shows and the labels of their axes."""

# Okabe and Ito 2008, "Color Universal Design", without yellow, which white swallows.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Markers; there is one more than colours, so that no two of 56 runs look alike."""
SUFFIXES = (".png", ".svg")
UNITS = ((7200.0, 3600.0, "hours"), (300.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))
"""Units of time: seconds from which a unit is used, its length in seconds, and its name."""


@dataclass(frozen=True, slots=True)
class PlottedRun:
    """A run with its name in the legend."""

    name: str
    lines: Sequence[Line]
    """Lines of its metrics."""

    def points(self, number: str, group: str) -> tuple[list[int], list[float]]:
        """Steps and values of a number; NaN, as a gap, stands for NaN and infinity."""
        found = [line for line in self.lines if line["group"] == group and number in line]
        values = [nan if line[number] is None else float(line[number]) for line in found]
        return [line["step"] for line in found], values

    def seconds(self, steps: Sequence[int]) -> list[float]:
        """Training time at some steps, interpolated between the steps of the log."""
        known, seconds = self.points("seconds", "train")
        return np.interp(steps, [0, *known], [0.0, *seconds]).tolist()


def open_runs(folders: Sequence[str]) -> list[PlottedRun]:
    """Open the runs that a user names, each once.

    Raises:
        InputError: a folder is no run, or has no numbers yet.
    """
    states = [_open(Path(folder)) for folder in dict.fromkeys(folders)]
    names = [state.folder.resolve().name for state in states]
    return [
        PlottedRun(name if names.count(name) == 1 else str(state.folder), state.lines)
        for name, state in zip(names, states, strict=True)
    ]


def _open(folder: Path) -> RunState:
    state = read_run(folder)
    if state is None:
        raise InputError(f"{folder} is no run of `smalti train vqgan` or `smalti train prior`")
    if not any(line["group"] in ("train", "eval") for line in state.lines):
        raise InputError(f"{folder} has no numbers yet; its first come after training.log-steps")
    return state


def draw_plots(runs: Sequence[PlottedRun], folder: Path) -> list[Path]:
    """Write a picture for each topic that a run has numbers of, as PNG and as SVG.

    Returns:
        Paths of the files: `losses`, `nll` and `codes`, where former ones are replaced.

    Raises:
        InputError: the folder cannot be written.
    """
    written = []
    for topic, labels in TOPICS.items():
        shown = {name: label for name, label in labels.items() if any(_series(runs, name))}
        if shown:
            figure = _figure(runs, shown)
            for suffix in SUFFIXES:
                path = folder / f"{topic}{suffix}"
                with atomic_file(path) as temporary:
                    figure.savefig(temporary, dpi=110)
                written.append(path)
    return written


def _series(runs: Sequence[PlottedRun], number: str) -> Iterator[bool]:
    return (bool(run.points(number, group)[0]) for run in runs for group in ("train", "eval"))


def _figure(runs: Sequence[PlottedRun], labels: Mapping[str, str]) -> Any:
    """Draw a row for each number, over steps and over time."""
    from matplotlib.figure import Figure  # takes a second to import

    longest = max(max(run.seconds([run.lines[-1]["step"]])) for run in runs)
    unit, unit_name = next((length, name) for least, length, name in UNITS if longest >= least)
    rows = len(labels)
    figure = Figure(figsize=(11, 2.2 * rows + 0.25 * len(runs) + 1.2), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False, sharex="col", sharey="row")
    for (number, label), (over_steps, over_time) in zip(labels.items(), axes, strict=True):
        for run, colour, marker in zip(runs, cycle(COLOURS), cycle(MARKERS), strict=False):
            _draw(over_steps, run, number, None, colour, marker)
            _draw(over_time, run, number, unit, colour, marker)
        over_steps.set_ylabel(label)
        for one in (over_steps, over_time):
            one.grid(alpha=0.3)
            one.spines[["top", "right"]].set_visible(False)
    for one, what in zip(axes[-1], ("steps", f"{unit_name} of training"), strict=True):
        one.set_xlabel(what)
    _add_legend(figure, [row[0] for row in axes])
    return figure


def _draw(
    axes: Any, run: PlottedRun, number: str, unit: float | None, colour: str, marker: str
) -> None:
    """Draw a run's number: training steps as a thin line, evaluations with markers.

    `unit` is the length in seconds of a unit of time; None draws over the steps.
    """
    styles: dict[str, tuple[str, dict[str, Any]]] = {
        "train": ("training steps", {"linewidth": 1, "alpha": 0.5}),
        "eval": (scored_images(run.lines), {"linewidth": 2, "marker": marker, "markersize": 5}),
    }
    for group, (what, style) in styles.items():
        steps, values = run.points(number, group)
        if steps:
            places = steps if unit is None else np.array(run.seconds(steps)) / unit
            axes.plot(places, values, color=colour, label=f"{run.name}: {what}", **style)


def _add_legend(figure: Any, axes: Sequence[Any]) -> None:
    """Add one legend below all axes, with each entry once."""
    entries: dict[str, Any] = {}
    for one in axes:
        handles, labels = one.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=2)

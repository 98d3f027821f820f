"""Draws the plots of a study: curves and points, averaged over the seeds."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from smalti.files import atomic_file
from smalti.report.plots import COLOURS, MARKERS
from smalti.reproduce.results import Points, Results
from smalti.reproduce.study import Plot


def draw_plot(plot: Plot, results: Mapping[int, Results], path: Path) -> None:
    """Write a plot as PNG: means as lines or markers, each seed as a thin line or small marker.

    Args:
        plot: what it shows.
        results: of each seed.
        path: the file.
    """
    from matplotlib.figure import Figure  # takes a second to import

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    styles = zip(cycle(COLOURS), cycle(MARKERS), strict=False)
    for (label, name), (colour, _) in zip(plot.curves.items(), styles, strict=False):
        _draw_curves(axes, [one.curves[name] for one in results.values()], label, colour)
    for (label, (x, y)), (colour, marker) in zip(plot.points.items(), styles, strict=False):
        points = [(one.figures[x], one.figures[y]) for one in results.values()]
        _draw_points(axes, points, label, colour, marker)
    axes.set(xlabel=plot.x, ylabel=plot.y)
    if plot.is_log:
        axes.set(xscale="log", yscale="log")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend()
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _draw_curves(axes: Any, curves: Sequence[Points], label: str, colour: str) -> None:
    for curve in curves if len(curves) > 1 else ():
        axes.plot(*np.array(curve).T, color=colour, linewidth=0.7, alpha=0.35)
    common = min(curves, key=lambda curve: curve[-1][0])
    places = [x for x, _ in common]
    values = [np.interp(places, *np.array(curve).T) for curve in curves]
    axes.plot(places, np.mean(values, 0), color=colour, linewidth=2, label=label)


def _draw_points(axes: Any, points: Points, label: str, colour: str, marker: str) -> None:
    axes.scatter(*np.array(points).T, color=colour, marker=marker, s=12, alpha=0.4)
    x, y = np.mean(points, 0)
    axes.scatter([x], [y], color=colour, marker=marker, s=60, label=label)
    axes.annotate(label, (x, y), textcoords="offset points", xytext=(6, 6), fontsize=9)

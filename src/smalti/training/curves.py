"""Plots of a run's numbers over its steps."""

from pathlib import Path
from typing import Any

from smalti.files import atomic_file
from smalti.training.log import read_metrics

CURVES_FILE = "curves.png"
COLUMNS = 3
NOT_PLOTTED = {"step", "group", "seconds"}


def draw_curves(run: Path) -> Path:
    """Draw every number of `metrics.jsonl` over the steps, into the run folder.

    Returns:
        The picture: one plot a number, training as a line, held-out with dots.
    """
    from matplotlib.figure import Figure  # takes a second to import, and only the end needs it

    lines = read_metrics(run)
    names = sorted({name for line in lines for name in line} - NOT_PLOTTED)
    rows = max(1, -(-len(names) // COLUMNS))
    figure = Figure(figsize=(4 * COLUMNS, 2.4 * rows), layout="constrained")
    for number, name in enumerate(names):
        axes = figure.add_subplot(rows, COLUMNS, number + 1)
        _draw(axes, name, lines)
    with atomic_file(run / CURVES_FILE) as path:
        figure.savefig(path, dpi=90)
    return run / CURVES_FILE


def _draw(axes: Any, name: str, lines: list[dict[str, Any]]) -> None:
    for group, style, label in (("train", "-", "training"), ("eval", "o-", "held out")):
        points = [(line["step"], line[name]) for line in lines if _has(line, name, group)]
        if points:
            axes.plot(*zip(*points, strict=True), style, markersize=3, linewidth=1, label=label)
    axes.set_title(name, fontsize=9)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)


def _has(line: dict[str, Any], name: str, group: str) -> bool:
    return name in line and line["group"] == group

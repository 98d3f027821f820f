"""Plots of a run's numbers over its steps."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smalti.files import atomic_file
from smalti.health.history import Line
from smalti.health.run_images import scored_images
from smalti.training.log import read_metrics

CURVES_FILE = "curves.png"
COLUMNS = 3
NOT_PLOTTED = {"step", "group", "seconds"}
OTHER = "Other"
# Which numbers belong together; a number that is not here is drawn under "Other".
GROUPS = {
    "Losses": (
        "reconstruction_loss",
        "pixel_loss",
        "perceptual_loss",
        "nll",
        "nll_uniform",
        "bits_per_dimension",
        "bits_per_dimension_uniform",
        "psnr_db",
        "ssim",
        "pixel_accuracy",
        "mean_iou",
    ),
    "Adversary": (
        "generator_loss",
        "discriminator_loss",
        "lecam_penalty",
        "adaptive_weight",
        "adversary_weight",
        "real_logits",
        "fake_logits",
        "real_accuracy",
        "fake_accuracy",
        "reconstruction_gradient_norm",
        "generator_gradient_norm",
        "discriminator_gradient_norm",
    ),
    "Codes": (
        "code_use",
        "code_perplexity",
        "dead_codes",
        "code_vectors",
        "codebook_loss",
        "commitment_loss",
        "entropy_loss",
    ),
    "Speed": ("images_per_second", "data_wait"),
}


def draw_curves(run: Path) -> Path:
    """Draw every number of `metrics.jsonl` over the steps, into a picture in the run folder.

    Each number has a plot, with training steps as a line and evaluations as dots.
    """
    lines = read_metrics(run)
    names = [name for group in grouped_names(lines).values() for name in group]
    with atomic_file(run / CURVES_FILE) as path:
        draw_numbers(lines, names, path)
    return run / CURVES_FILE


def grouped_names(lines: Sequence[Line]) -> dict[str, list[str]]:
    """Names of the numbers of a run by their group; empty groups are left out."""
    numbers = [line for line in lines if line["group"] in ("train", "eval")]
    names = {name for line in numbers for name in line} - NOT_PLOTTED
    groups = {title: [name for name in group if name in names] for title, group in GROUPS.items()}
    grouped = {name for group in groups.values() for name in group}
    groups[OTHER] = sorted(names - grouped)
    return {title: group for title, group in groups.items() if group}


def draw_numbers(lines: Sequence[Line], names: Sequence[str], path: Path) -> None:
    """Draw some numbers over the steps, a plot each, with dotted lines at changes of options."""
    from matplotlib.figure import Figure  # takes a second to import, and only the end needs it

    rows = max(1, -(-len(names) // COLUMNS))
    figure = Figure(figsize=(4 * COLUMNS, 2.4 * rows), layout="constrained")
    changes = [line["step"] for line in lines if line["group"] in ("remedy", "change")]
    for number, name in enumerate(names):
        axes = figure.add_subplot(rows, COLUMNS, number + 1)
        _draw(axes, name, lines)
        for step in changes:
            axes.axvline(step, linestyle=":", linewidth=1, color="black")
    figure.savefig(path, dpi=90)


def _draw(axes: Any, name: str, lines: Sequence[Line]) -> None:
    series = (("train", "-", "training steps"), ("eval", "o-", scored_images(lines)))
    for group, style, label in series:
        points = [
            # null, which was NaN or infinite, leaves a gap
            (line["step"], math.nan if line[name] is None else line[name])
            for line in lines
            if line["group"] == group and name in line
        ]
        if points:
            axes.plot(*zip(*points, strict=True), style, markersize=3, linewidth=1, label=label)
    axes.set_title(name, fontsize=9)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)

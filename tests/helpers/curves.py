"""Small pictures in place of curves, whose drawing takes longer than a tiny training."""

from pathlib import Path

import pytest
from PIL import Image

import smalti.report.page
import smalti.report.push
import smalti.training.curves

DRAWING = smalti.training.curves, smalti.report.page, smalti.report.push
"""Modules that draw curves of a run."""


def draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """Let runs, their pages and pushed models have a small picture where curves would be."""

    def draw(lines: object, names: object, path: Path) -> None:
        Image.new("RGB", (2, 2)).save(path, "PNG")

    for module in DRAWING:
        patch.setattr(module, "draw_numbers", draw)

"""The plots of a run."""

import json

import pytest
from matplotlib.figure import Figure
from PIL import Image

from smalti.training.curves import draw_curves
from smalti.training.log import METRICS_FILE

LINES = [
    {"step": 1, "group": "train", "nll": 3.0, "norm": 1.0, "seconds": 0.1},
    {"step": 2, "group": "train", "nll": 2.0, "norm": 0.5, "seconds": 0.2},
    {"step": 2, "group": "eval", "nll": 2.5},
]


@pytest.mark.parametrize(("held_out", "scored"), [(1, "held-out images"), (0, "training images")])
def test_each_number_is_a_plot_with_training_steps_and_evaluated_images_apart(
    tmp_path, monkeypatch, held_out, scored
):
    images = {"step": 0, "group": "images", "training": 9, "held_out": held_out}
    (tmp_path / METRICS_FILE).write_text(
        "\n".join(map(json.dumps, [images, *LINES])), encoding="utf-8"
    )
    drawn = {}

    def keep(figure, path, **_options):
        for axes in figure.axes:
            lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
            drawn[axes.get_title()] = lines
        path.write_bytes(b"picture")

    monkeypatch.setattr(Figure, "savefig", keep)
    path = draw_curves(tmp_path)
    assert path.read_bytes() == b"picture"
    assert drawn == {
        "nll": {"training steps": [[1, 3.0], [2, 2.0]], scored: [[2, 2.5]]},
        "norm": {"training steps": [[1, 1.0], [2, 0.5]]},
    }


def test_number_that_is_none_leaves_a_gap(tmp_path, monkeypatch):
    evaluated = [3.0, None, 2.0]
    lines = [{"step": n, "group": "eval", "nll": nll} for n, nll in enumerate(evaluated)]
    (tmp_path / METRICS_FILE).write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    drawn = []
    save = Figure.savefig

    def keep(figure, path, **options):
        drawn.extend(figure.axes[0].lines[0].get_ydata().tolist())
        save(figure, path, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    draw_curves(tmp_path)
    assert str(drawn) == "[3.0, nan, 2.0]"


def test_run_without_numbers_gives_an_empty_picture(tmp_path):
    with Image.open(draw_curves(tmp_path)) as picture:
        assert picture.convert("L").getextrema() == (255, 255)

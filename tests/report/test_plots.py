"""Plots of several runs together."""

from math import isnan

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from smalti.report.plots import PlottedRun, draw_plots

IMAGES = {"step": 0, "group": "images", "training": 9, "held_out": 1}
LINES = [
    IMAGES,
    {"step": 10, "group": "train", "nll": 3.0, "seconds": 20.0},
    {"step": 15, "group": "eval", "nll": 2.8},
    {"step": 20, "group": "train", "nll": 2.0, "seconds": 60.0},
    {"step": 20, "group": "eval", "nll": None},
]
CODES = [IMAGES, {"step": 4, "group": "eval", "code_use": 0.5}]


@pytest.fixture
def figures(monkeypatch) -> dict[str, Figure]:
    """The figures that are drawn, by file name without suffix; nothing but a word is written."""
    drawn = {}

    def keep(figure, path, **_options):
        drawn[path.stem.rpartition("-")[2]] = figure
        path.write_bytes(b"picture")

    monkeypatch.setattr(Figure, "savefig", keep)
    return drawn


def test_numbers_are_over_steps_and_over_time(tmp_path, figures):
    draw_plots([PlottedRun("a", LINES)], tmp_path)
    over_steps, over_time = figures["nll"].axes
    assert over_steps.lines[0].get_xydata().tolist() == [[10, 3.0], [20, 2.0]]
    assert over_time.lines[0].get_xydata().tolist() == [[20.0, 3.0], [60.0, 2.0]]
    assert over_time.lines[1].get_xdata()[0] == 40.0  # between the times that are known
    assert isnan(over_steps.lines[1].get_ydata()[1])
    assert (over_steps.get_xlabel(), over_time.get_xlabel()) == ("steps", "seconds of training")
    assert over_steps.get_ylabel() == "NLL, nats a token"


def test_long_runs_are_drawn_over_hours(tmp_path, figures):
    line = {"step": 10, "group": "train", "nll": 3.0, "seconds": 9000.0}
    draw_plots([PlottedRun("a", [line])], tmp_path)
    over_time = figures["nll"].axes[1]
    assert over_time.lines[0].get_xdata().tolist() == [2.5]
    assert over_time.get_xlabel() == "hours of training"


def test_runs_differ_in_colour_and_marker_and_are_in_the_legend_once(tmp_path, figures):
    runs = [PlottedRun(str(number), LINES) for number in range(9)]
    draw_plots(runs, tmp_path)
    axes = figures["nll"].axes[0]
    looks = {
        (to_hex(line.get_color()), line.get_marker())
        for line in axes.lines
        if line.get_linewidth() > 1
    }
    assert len(looks) == 9
    texts = [text.get_text() for text in figures["nll"].legends[0].get_texts()]
    assert len(texts) == len(set(texts)) == 18
    assert {"0: training steps", "8: held-out images"} <= set(texts)


def test_a_topic_without_numbers_has_no_picture(tmp_path):
    written = draw_plots([PlottedRun("a", LINES), PlottedRun("b", CODES)], tmp_path)
    assert [path.name for path in written] == ["nll.png", "nll.svg", "codes.png", "codes.svg"]
    with Image.open(tmp_path / "nll.png") as picture:
        assert picture.width > 1000
    assert "<svg" in (tmp_path / "codes.svg").read_text(encoding="utf-8")

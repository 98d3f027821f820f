"""What a run tells of itself, and what of it may fail."""

import json
import logging
import sys
import types
from pathlib import Path

import pytest
from PIL import Image
from torch.utils import tensorboard

from smalti.training.log import METRICS_FILE, RunLog, read_metrics


def run_log(folder: Path, start_step: int = 0) -> RunLog:
    return RunLog(folder, total_steps=10, start_step=start_step, batch_size=4)


def steps(folder: Path) -> list[int]:
    return [line["step"] for line in read_metrics(folder)]


def test_lines_have_step_group_and_numbers(tmp_path):
    with run_log(tmp_path) as log:
        log.scalars(3, "train", {"nll": 1.5})
        log.scalars(3, "eval", {"nll": 2.5})
    assert read_metrics(tmp_path) == [
        {"step": 3, "group": "train", "nll": 1.5},
        {"step": 3, "group": "eval", "nll": 2.5},
    ]


def test_line_is_on_disk_at_once(tmp_path):
    with run_log(tmp_path) as log:
        log.scalars(1, "train", {"nll": 1.5})
        assert steps(tmp_path) == [1]


def test_lines_after_the_resumed_step_are_dropped(tmp_path):
    with run_log(tmp_path) as log:
        for step in (1, 2, 3, 4):
            log.scalars(step, "train", {"nll": 1.5})
    with run_log(tmp_path, start_step=2) as log:
        assert steps(tmp_path) == [1, 2]
        log.scalars(3, "train", {"nll": 0.5})
    assert steps(tmp_path) == [1, 2, 3]


def test_last_line_cut_short_is_left_out(tmp_path):
    whole = json.dumps({"step": 1, "group": "train", "nll": 1.5})
    (tmp_path / METRICS_FILE).write_text(f"{whole}\n{whole[:20]}", encoding="utf-8")
    assert steps(tmp_path) == [1]


def test_resumed_run_goes_on_after_a_line_cut_short(tmp_path):
    whole = json.dumps({"step": 1, "group": "train", "nll": 1.5})
    (tmp_path / METRICS_FILE).write_text(f"{whole}\n{whole[:20]}", encoding="utf-8")
    with run_log(tmp_path, start_step=1) as log:
        log.scalars(2, "train", {"nll": 1.5})
    assert steps(tmp_path) == [1, 2]


def test_run_without_numbers_has_no_lines(tmp_path):
    assert read_metrics(tmp_path) == []


def test_numbers_that_are_none_are_null(tmp_path):
    with run_log(tmp_path) as log:
        log.scalars(1, "eval", {"nll": float("nan"), "psnr_db": float("inf")})
    text = (tmp_path / METRICS_FILE).read_text(encoding="utf-8")
    assert text == '{"step": 1, "group": "eval", "nll": null, "psnr_db": null}\n'


def test_lines_of_older_versions_with_nan_are_read_and_written_anew_as_null(tmp_path):
    (tmp_path / METRICS_FILE).write_text(
        '{"step": 1, "group": "eval", "nll": NaN, "a": -Infinity}\n', encoding="utf-8"
    )
    assert read_metrics(tmp_path) == [{"step": 1, "group": "eval", "nll": None, "a": None}]
    with run_log(tmp_path, start_step=1):
        assert "NaN" not in (tmp_path / METRICS_FILE).read_text(encoding="utf-8")


def test_picture_is_kept_with_its_step(tmp_path):
    with run_log(tmp_path) as log:
        log.picture(7, "samples", Image.new("RGB", (3, 2), "red"))
    with Image.open(tmp_path / "samples" / "samples_00000007.png") as picture:
        assert picture.getpixel((0, 0)) == (255, 0, 0)


def test_progress_tells_numbers_speed_and_time_left(tmp_path, capsys, monkeypatch):
    seconds = iter([0.0, 2.0])
    # Not the module's own function, which other threads ask for the time too.
    clock = types.SimpleNamespace(monotonic=lambda: next(seconds))
    monkeypatch.setattr("smalti.training.log.time", clock)
    with run_log(tmp_path, start_step=2) as log:
        log.progress(6, {"nll": 1.23456})
    assert capsys.readouterr().err == "step 6/10  nll 1.235  8.0 images/s  00:02 left\n"


def test_tensorboard_gets_the_numbers(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        tensorboard.SummaryWriter, "add_scalar", lambda _self, *values: seen.append(values)
    )
    with run_log(tmp_path) as log:
        log.scalars(3, "eval", {"nll": 2.5})
    assert seen == [("eval/nll", 2.5, 3)]


@pytest.mark.parametrize("method", ["__init__", "add_scalar", "close"])
def test_tensorboard_that_fails_gives_one_warning_and_is_left_out(
    tmp_path, monkeypatch, caplog, method
):
    def fail(*_args: object, **_options: object) -> None:
        raise OSError("tracker is down")

    monkeypatch.setattr(tensorboard.SummaryWriter, method, fail)
    with caplog.at_level(logging.WARNING), run_log(tmp_path) as log:
        log.scalars(1, "train", {"nll": 1.5})
        log.scalars(2, "train", {"nll": 1.5})
    assert steps(tmp_path) == [1, 2]
    assert [record.getMessage() for record in caplog.records] == [
        "TensorBoard failed (tracker is down); going on without it"
    ]


def test_run_works_without_tensorboard(tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with run_log(tmp_path) as log:
        log.scalars(1, "train", {"nll": 1.5})
    assert steps(tmp_path) == [1]
    assert caplog.records == []


def test_tensorboard_gets_pictures_and_the_config(tmp_path, monkeypatch):
    seen = []
    writer = tensorboard.SummaryWriter
    monkeypatch.setattr(writer, "add_text", lambda _self, *values: seen.append(values))
    monkeypatch.setattr(
        writer,
        "add_image",
        lambda _self, name, pixels, step, dataformats: seen.append(
            (name, pixels[0, 0].tolist(), step, dataformats)
        ),
    )
    (tmp_path / "config.yaml").write_text("stage: prior\nseed: 3\n", encoding="utf-8")
    with run_log(tmp_path) as log:
        log.picture(7, "samples", Image.new("RGB", (3, 2), "red"))
    assert seen == [
        ("config", "    stage: prior\n    seed: 3\n"),
        ("samples", [255, 0, 0], 7, "HWC"),
    ]

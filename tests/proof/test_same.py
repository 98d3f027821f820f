"""The proof that two versions compute the same: what it compares, and what it says."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PRESETS = HERE.parents[1] / "src" / "smalti" / "presets"
NUMBERS = "step 5 train nll: 6.5\nstep 10 train nll: 6.25\n"


@pytest.fixture
def same(monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    return importlib.import_module("same")


@pytest.fixture
def records(tmp_path):
    """Two records of a task with two files."""
    folders = tmp_path / "BEFORE", tmp_path / "AFTER"
    for folder in folders:
        (folder / "results/class/run").mkdir(parents=True)
        (folder / "results/class/run/metrics.jsonl.txt").write_text(NUMBERS, encoding="utf-8")
        (folder / "results/class/run/best.png.txt").write_text("0a1b\n", encoding="utf-8")
        (folder / "refusals.txt").write_text("test_size: size is 3\n", encoding="utf-8")
    return folders


def test_equal_records_have_not_changed(same, records, capsys):
    assert same.compare(*records)
    assert capsys.readouterr().out == "nothing changed\n"


def test_another_number_is_a_change_and_is_shown(same, records, capsys):
    changed = NUMBERS.replace("6.25", "6.26")
    (records[1] / "results/class/run/metrics.jsonl.txt").write_text(changed, encoding="utf-8")
    assert not same.compare(*records)
    assert capsys.readouterr().out.splitlines() == [
        "class/run/metrics.jsonl:",
        "    -step 10 train nll: 6.25",
        "    +step 10 train nll: 6.26",
        "changed: see above",
    ]


def test_a_file_that_is_gone_is_a_change_and_where_it_may_be_is_told(same, records, capsys):
    picture = records[1] / "results/class/run/best.png.txt"
    picture.rename(picture.with_name("first.png.txt"))
    assert not same.compare(*records)
    said = capsys.readouterr().out
    assert "class/run/best.png:\n    only BEFORE has it; moved to run/first.png?\n" in said


def test_a_file_that_is_new_is_named_and_no_change(same, records, capsys):
    (records[1] / "results/class/run/env.json.txt").write_text("not compared\n", encoding="utf-8")
    assert same.compare(*records)
    assert "only AFTER has: class/run/env.json\n" in capsys.readouterr().out


def test_a_refusal_in_other_words_is_shown_and_no_change(same, records, capsys):
    (records[1] / "refusals.txt").write_text("test_size: size 3 is odd\n", encoding="utf-8")
    assert same.compare(*records)
    said = capsys.readouterr().out
    assert "refusals: -test_size: size is 3\nrefusals: +test_size: size 3 is odd\n" in said


def test_tasks_of_one_record_only_are_named(same, records, capsys):
    (records[0] / "results/depth").mkdir()
    assert same.compare(*records)
    assert "not in both records, so not compared: depth\n" in capsys.readouterr().out


def test_times_are_no_numbers_of_a_run(same, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 5, "group": "train", "nll": 6.5, "seconds": 1.2}\n', encoding="utf-8")
    assert list(same.contents(path, Path(path.name))) == ["step 5 train nll: 6.5"]


def test_a_folder_that_is_not_compared_counts_as_one_file(same):
    named_by_time = Path("class/run/tb/events.out.tfevents.123")
    assert same.compared_as(named_by_time) == Path("class/run/tb")
    assert list(same.contents(named_by_time, Path("class/run/tb"))) == ["not compared"]


def test_each_tiny_preset_of_a_prior_is_recorded(same):
    names = {path.stem.removeprefix("prior-") for path in PRESETS.rglob("prior-*-tiny.yaml")}
    names -= {name for name in names if "-local-" in name}  # former versions do not know it
    assert {f"{name}-tiny" for name in importlib.import_module("tasks").PRESETS} == names


def test_each_task_comes_after_those_that_it_needs(same):
    names = list(same.TASKS)
    for position, task in enumerate(same.TASKS.values()):
        assert set(task.needs) <= set(names[:position])
    assert same.with_needed(["depth"]) == ["vqgan", "depth-maps", "depth"]


@pytest.mark.slow
def test_two_records_of_one_version_are_equal(tmp_path):
    same = [sys.executable, str(HERE / "same.py")]
    folders = [str(tmp_path / name) for name in ("a", "b")]
    for folder in folders:
        subprocess.run([*same, "record", folder, "--tasks", "pixels"], check=True)
    compared = subprocess.run(
        [*same, "compare", *folders], stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert compared.stdout.splitlines()[-1] == "nothing changed"
    assert (tmp_path / "a/results/pixels/prior/metrics.jsonl.txt").stat().st_size > 0

"""What the tab *Runs* is told, from folders that runs could have left."""

import json
import os
import shutil

import pytest
from PIL import Image

from helpers.studio import LINES, make_run, write_lines
from smalti.config import InputError
from smalti.studio import run_view
from smalti.studio.library import Library
from smalti.studio.run_view import described, differences, listed, new_lines, picture_file


@pytest.fixture
def entry(run, runs):
    (found,) = Library([runs]).entries()
    return found


def steps(found):
    return [line["step"] for line in found["lines"]]


def test_lines_are_those_of_curves(entry):
    found = new_lines(entry, "", 0)
    assert steps(found) == [10, 20]
    assert found["is_new"]
    assert found["every"] == 1


def test_only_new_lines_are_told(entry, run):
    first = new_lines(entry, "", 0)
    assert new_lines(entry, first["file"], first["next"])["lines"] == []
    write_lines(run, [LINES[1] | {"step": 30}])
    found = new_lines(entry, first["file"], first["next"])
    assert (steps(found), found["is_new"]) == ([30], False)


def test_a_line_that_is_half_written_comes_when_it_is_whole(entry, run):
    first = new_lines(entry, "", 0)
    text = json.dumps(LINES[1] | {"step": 30}) + "\n"
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as metrics:
        metrics.write(text[:15])
    second = new_lines(entry, first["file"], first["next"])
    assert second["lines"] == []
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as metrics:
        metrics.write(text[15:])
    assert steps(new_lines(entry, second["file"], second["next"])) == [30]


def test_a_file_that_was_written_anew_is_told_whole(entry, run):
    """As when a run goes on from an earlier checkpoint."""
    first = new_lines(entry, "", 0)
    (run / "other").mkdir()
    write_lines(run / "other", [LINES[1] | {"step": n} for n in range(20)])
    os.replace(run / "other" / "metrics.jsonl", run / "metrics.jsonl")
    found = new_lines(entry, first["file"], first["next"])
    assert found["is_new"]
    assert len(found["lines"]) == 20


def test_a_run_without_metrics_has_no_lines(entry, run):
    (run / "metrics.jsonl").unlink()
    assert new_lines(entry, "", 0)["lines"] == []


def test_numbers_that_were_none_and_broken_lines_do_no_harm(entry, run):
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as metrics:
        metrics.write('{"step": 30, "group": "train", "loss": NaN}\nbroken\n[1]\n')
    assert new_lines(entry, "", 0)["lines"][-1] == {"step": 30, "group": "train", "loss": None}


def test_of_many_training_lines_some_are_told_and_all_evaluations(entry, run, monkeypatch):
    monkeypatch.setattr(run_view, "MOST_LINES", 10)
    lines = [{"step": n, "group": "train"} for n in range(25)]
    write_lines(run, [*lines, *({"step": n, "group": "eval"} for n in (5, 25))], "w")
    found = new_lines(entry, "", 0)
    assert found["every"] == 3
    shown = [line["step"] for line in found["lines"] if line["group"] == "train"]
    assert shown == [0, 3, 6, 9, 12, 15, 18, 21, 24]  # the newest is among them
    assert len(found["lines"]) == len(shown) + 2


def test_a_run_that_vanishes_is_said_to_be_gone(entry, run):
    shutil.rmtree(run)
    for asked in (lambda: new_lines(entry, "", 0), lambda: described(entry)):
        with pytest.raises(InputError, match="vqgan is no longer there"):
            asked()
    assert listed(entry)["state"] == "failed"


def test_a_run_is_listed_with_its_state(entry):
    found = listed(entry)
    assert (found["state"], found["is_healthy"]) == ("stopped", True)
    assert found["share"] == pytest.approx(20 / 3000, rel=0.9)


def test_a_damaged_config_is_told(entry, run):
    (run / "config.yaml").write_text("stage: vqgan\nbad: 1\n", encoding="utf-8")
    found = listed(entry)
    assert found["state"] == "failed"
    assert "bad" in found["message"]


def test_a_run_in_full(entry, run):
    write_lines(run, [{"step": 20, "group": "change", "option": "x", "was": 1, "now": 2}])
    found = described(entry)
    assert found["health"] == ["nothing wrong is seen"]
    assert found["changes"] == ["step 20: x from 1 to 2"]
    assert found["scores"] == {"reconstruction_loss": "0.25", "psnr_db": "21.5"}
    assert found["scored"] == "held-out images"
    assert found["groups"]["Losses"] == ["reconstruction_loss", "psnr_db"]
    (picture,) = found["pictures"]
    assert picture["steps"] == [20]
    assert picture["caption"].startswith("Held-out images above")


def test_health_is_in_the_words_of_the_report(entry, run):
    line = {"group": "eval", "code_use": 0.01, "code_perplexity": 1.0, "code_vectors": 5000}
    write_lines(run, [line | {"step": n} for n in (30, 40)])
    found = described(entry)
    assert "codebook collapse: 1% of 16 codes are in use" in found["health"][0]
    assert not found["is_healthy"]


def test_new_numbers_are_seen_although_states_are_kept(entry, run):
    assert listed(entry)["message"].startswith("step 20")
    write_lines(run, [LINES[1] | {"step": 30}])
    assert listed(entry)["message"].startswith("step 30")


def test_pictures_of_the_codebook_come_last(entry, run):
    for name in ("codes_00000010", "codes_00000020", "reconstructions_00000010", "other"):
        Image.new("RGB", (8, 8)).save(run / "samples" / f"{name}.png")
    found = described(entry)["pictures"]
    assert [(one["name"], one["steps"]) for one in found] == [
        ("reconstructions", [10, 20]),
        ("codes", [10, 20]),
    ]


def test_a_picture_of_the_run_is_found(entry, run):
    name = "reconstructions_00000020.png"
    assert picture_file(entry, name) == (run / "samples" / name).resolve()


@pytest.mark.parametrize(
    "name", ["..", "../config.yaml", "/etc/passwd", "x_00000001.png", "config.yaml", "a\0.png", ""]
)
def test_other_files_are_no_pictures(entry, name):
    with pytest.raises(InputError, match="no picture"):
        picture_file(entry, name)


def test_a_link_out_of_the_run_is_no_picture(entry, run, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "private.png")
    (run / "samples" / "x_00000001.png").symlink_to(tmp_path / "private.png")
    with pytest.raises(InputError, match="no picture"):
        picture_file(entry, "x_00000001.png")


def test_the_difference_of_configs(run, runs, photos):
    make_run(runs / "other", photos, seed=3, held_out=0.2)
    assert differences(Library([runs]).entries()) == [
        {"option": "held-out", "values": [0.2, 0.05]},
        {"option": "seed", "values": [3, 0]},
    ]


def test_runs_with_one_config_differ_in_nothing(run, runs, photos):
    make_run(runs / "other", photos)
    assert differences(Library([runs]).entries()) == []

"""How a run stands, by what it has left in its folder."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import yaml

from smalti.runs.config import PriorRunConfig, PriorTrainingConfig, VQGANRunConfig
from smalti.runs.state import read_run
from smalti.runs.status import Status, status_of
from smalti.training.run_lock import HOLDER_FILE, SILENCE_SECONDS, Holder


def status(folder: Path, config: VQGANRunConfig | PriorRunConfig, *lines: object) -> Status:
    text = yaml.safe_dump(config.model_dump(mode="json"))
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    written = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(written, encoding="utf-8")
    state = read_run(folder)
    assert state is not None
    return status_of(state)


def held(folder: Path, seconds_ago: float) -> None:
    path = folder / HOLDER_FILE
    path.write_text(json.dumps(asdict(Holder("elsewhere", 1))), encoding="utf-8")
    before = path.stat().st_mtime - seconds_ago
    os.utime(path, (before, before))


def config(**training: object) -> VQGANRunConfig:
    return VQGANRunConfig(data=("photos",), training={"total_steps": 100, **training})


STEP = {"step": 40, "group": "train"}


def test_a_run_whose_process_shows_life_trains(tmp_path):
    held(tmp_path, 5)
    assert status(tmp_path, config(), STEP) == Status("training", "step 40 of 100, training now")


def test_a_run_that_fell_silent_failed_and_can_go_on(tmp_path):
    held(tmp_path, SILENCE_SECONDS + 5)
    found = status(tmp_path, config(), STEP)
    assert found.kind == "failed"
    assert "no sign of life" in found.message
    assert f"smalti resume {tmp_path} goes on" in found.message


def test_a_run_that_let_go_was_stopped(tmp_path):
    found = status(tmp_path, config(), STEP)
    assert found == Status("stopped", f"step 40 of 100; smalti resume {tmp_path} goes on")


def test_a_run_with_all_steps_is_finished(tmp_path):
    found = status(tmp_path, config(), STEP | {"step": 100})
    assert found == Status("finished", "all 100 steps are done")


def test_a_run_without_lines_was_stopped_before_its_first(tmp_path):
    assert status(tmp_path, config()).message.startswith("step 0 of 100")


def test_a_number_that_was_none_is_told_with_its_advice(tmp_path):
    line = {"step": 41, "group": "not_finite", "what": "the loss", "advice": "lower the rate"}
    found = status(tmp_path, config(), STEP, line)
    assert found == Status("failed", "the loss was not a number at step 41; lower the rate")


def test_a_prior_without_gain_for_long_stopped_early(tmp_path):
    training = PriorTrainingConfig(total_steps=100, early_stop=2)
    prior = PriorRunConfig(data=("photos",), vqgan="runs/vqgan", training=training)
    scores = [{"step": 10 * n, "group": "eval", "nll": nll} for n, nll in enumerate((5, 3, 4, 6))]
    assert status(tmp_path, prior, *scores[:3]).kind == "stopped"
    assert status(tmp_path, prior, *scores).kind == "finished"

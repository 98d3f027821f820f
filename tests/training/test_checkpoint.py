"""Checkpoints: whole or not there, and never a pickle."""

import errno
import json
import logging
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from smalti.config import Config, InputError
from smalti.files import TEMPORARY
from smalti.training.checkpoint import (
    COUNTERS_FILE,
    STATE_FILE,
    Counters,
    InferenceModel,
    TrainingState,
    newest_step,
    read_counters,
    resume,
    save_checkpoint,
)

FILES = {"config.json", "model.safetensors", STATE_FILE, COUNTERS_FILE}


class Training:
    """A small model after `steps` steps of AdamW."""

    def __init__(self, steps: int, features: int = 3) -> None:
        generator = torch.Generator().manual_seed(steps)
        self.model, self.average = nn.Linear(features, 2), nn.Linear(features, 2)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.1)
        for _ in range(steps):
            self.model(torch.randn(4, features, generator=generator)).square().sum().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()

    @property
    def state(self) -> TrainingState:
        modules = {"model": self.model, "average": self.average}
        return TrainingState(modules, {"optimizer": self.optimizer})

    def save(self, checkpoints: Path, step: int) -> Path:
        model = InferenceModel("linear", Config(), self.average)
        return save_checkpoint(checkpoints, self.state, model, Counters(step=step, seconds=1.5))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flip_last_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture
def checkpoints(tmp_path) -> Path:
    """Steps 10 and 20."""
    for step in (10, 20):
        Training(step // 10).save(tmp_path, step)
    return tmp_path


def test_resumed_state_equals_the_saved_one_bit_for_bit(tmp_path):
    saved, fresh = Training(3), Training(0)
    saved.save(tmp_path, 3)
    counters = resume(tmp_path, fresh.state)
    assert counters == Counters(step=3, seconds=1.5)
    for name in ("model", "average"):
        for key, tensor in getattr(saved, name).state_dict().items():
            assert torch.equal(getattr(fresh, name).state_dict()[key], tensor), (name, key)
    expected = saved.optimizer.state_dict()["state"]
    restored = fresh.optimizer.state_dict()["state"]
    assert restored.keys() == expected.keys()
    for index, fields in expected.items():
        assert fields.keys() == restored[index].keys()
        assert all(torch.equal(restored[index][field], fields[field]) for field in fields)


def test_optimizer_that_never_stepped_is_restored_as_such(tmp_path):
    """So it is with the discriminator's before the adversary's start."""
    Training(0).save(tmp_path, 1)
    fresh = Training(2)
    resume(tmp_path, fresh.state)
    assert fresh.optimizer.state_dict()["state"] == {}


def test_best_score_of_a_run_without_evaluation_survives(tmp_path):
    Training(1).save(tmp_path, 1)
    assert resume(tmp_path, Training(0).state).best_score == float("inf")


def test_no_checkpoint_is_none(tmp_path):
    assert resume(tmp_path / "missing", Training(0).state) is None


def test_last_two_and_best_are_kept(checkpoints):
    (checkpoints / "best").mkdir()
    Training(3).save(checkpoints, 30)
    assert names(checkpoints) == ["best", "step_00000020", "step_00000030"]


def test_old_checkpoint_that_cannot_be_deleted_ends_nothing(checkpoints, monkeypatch):
    """As in a folder whose rights were taken away meanwhile."""
    real = os.rmdir

    def refuse(path, *args, **options):
        if "step_" in str(path) and TEMPORARY not in str(path):
            raise PermissionError(errno.EACCES, "refused")
        real(path, *args, **options)

    monkeypatch.setattr(os, "rmdir", refuse)
    Training(3).save(checkpoints, 30)
    assert resume(checkpoints, Training(0).state).step == 30


def test_files_are_safetensors_and_json_only(checkpoints):
    """Both readers refuse anything that is not wholly theirs, so no file is a pickle."""
    folder = checkpoints / "step_00000020"
    assert set(names(folder)) == FILES
    for path in folder.iterdir():
        is_json = path.suffix == ".json"
        assert (
            json.loads(path.read_text(encoding="utf-8"))
            if is_json
            else safetensors.torch.load_file(path)
        )


@pytest.mark.parametrize("damage", [flip_last_bit, cut_in_half, Path.unlink])
@pytest.mark.parametrize("file", sorted(FILES))
def test_damaged_checkpoint_is_reported_and_the_one_before_taken(checkpoints, caplog, damage, file):
    damage(checkpoints / "step_00000020" / file)
    with caplog.at_level(logging.WARNING):
        assert resume(checkpoints, Training(0).state).step == 10
    (record,) = caplog.records
    assert f"step_00000020/{file}" in record.getMessage()


def test_no_whole_checkpoint_is_one_clear_error(checkpoints):
    for folder in checkpoints.iterdir():
        cut_in_half(folder / STATE_FILE)
    before = content(checkpoints)
    with pytest.raises(InputError, match=r"no checkpoint in .* is whole"):
        resume(checkpoints, Training(0).state)
    assert content(checkpoints) == before


def test_counters_of_a_damaged_file_name_it(checkpoints):
    (checkpoints / "step_00000020" / COUNTERS_FILE).write_text(
        '{"counters": {"stop": 1}}', encoding="utf-8"
    )
    with pytest.raises(InputError, match=r"step_00000020/training\.json is damaged"):
        read_counters(checkpoints / "step_00000020")


def test_checkpoint_of_another_shape_is_refused(checkpoints):
    with pytest.raises(InputError, match=r"does not fit this config: .*weight"):
        resume(checkpoints, Training(0, features=5).state)


def fail_at(monkeypatch, error: BaseException) -> None:
    """Let the write of the training state fail, when the model is already written."""
    real = safetensors.torch.save_file

    def save_file(tensors, path, *rest):
        if Path(path).name == STATE_FILE:
            raise error
        real(tensors, path, *rest)

    monkeypatch.setattr(safetensors.torch, "save_file", save_file)


def test_write_that_is_broken_off_leaves_the_checkpoints_before(checkpoints, monkeypatch):
    before = content(checkpoints)
    fail_at(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        Training(3).save(checkpoints, 30)
    assert content(checkpoints) == before
    assert resume(checkpoints, Training(0).state).step == 20


def test_full_disk_is_one_line_and_leaves_the_checkpoints_before(checkpoints, monkeypatch):
    """The library tells of a full disk in the text of its own error only."""
    before = content(checkpoints)
    text = "Error while serializing: I/O error: No space left on device (os error 28)"
    fail_at(monkeypatch, safetensors.SafetensorError(text))
    with pytest.raises(InputError, match=r"cannot write .*step_00000030: the disk is full"):
        Training(3).save(checkpoints, 30)
    assert content(checkpoints) == before


def test_other_errors_of_the_library_are_not_taken_for_the_disk(checkpoints, monkeypatch):
    fail_at(monkeypatch, safetensors.SafetensorError("no such dtype"))
    with pytest.raises(safetensors.SafetensorError, match="no such dtype"):
        Training(3).save(checkpoints, 30)


def test_what_a_killed_process_was_writing_is_no_checkpoint_and_is_removed(checkpoints):
    whole = checkpoints / "step_00000020"
    whole.rename(checkpoints / f"{TEMPORARY}123-step_00000020")
    assert resume(checkpoints, Training(0).state).step == 10
    assert names(checkpoints) == ["step_00000010"]


def test_other_folders_beside_the_checkpoints_are_left_alone(checkpoints):
    (checkpoints / "step_7").mkdir()
    (checkpoints / "notes").mkdir()
    Training(3).save(checkpoints, 30)
    assert resume(checkpoints, Training(0).state).step == 30
    assert {"step_7", "notes"} <= set(names(checkpoints))


# Scores that are none


def no_constants(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def test_counters_before_the_first_evaluation_are_json(tmp_path):
    folder = Training(1).save(tmp_path, 1)
    json.loads((folder / COUNTERS_FILE).read_text(encoding="utf-8"), parse_constant=no_constants)
    assert read_counters(folder) == Counters(step=1, seconds=1.5)


@pytest.mark.parametrize("score", ["NaN", "Infinity", "null"])
def test_best_score_that_is_not_a_number_is_none(tmp_path, score):
    """Older versions took the first score as the best, whatever it was."""
    folder = Training(1).save(tmp_path, 1)
    path = folder / COUNTERS_FILE
    text = path.read_text(encoding="utf-8").replace('"best_score": null', f'"best_score": {score}')
    path.write_text(text.replace('"best_step": -1', '"best_step": 1'), encoding="utf-8")
    counters = read_counters(folder)
    assert (counters.best_step, counters.best_score) == (-1, float("inf"))


def test_newest_step_is_that_of_the_checkpoint_to_go_on_from(tmp_path):
    assert newest_step(tmp_path) == 0
    Training(1).save(tmp_path, 1)
    newest = Training(2).save(tmp_path, 2)
    assert newest_step(tmp_path) == 2
    flip_last_bit(newest / STATE_FILE)
    assert newest_step(tmp_path) == 1

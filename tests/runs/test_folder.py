"""The run folder: what may begin or resume in it, and that a refusal changes nothing."""

import hashlib
import json
import os
import shutil
from collections import namedtuple
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import yaml

from smalti.config import InputError
from smalti.files import TEMPORARY
from smalti.runs.config import PriorRunConfig, VQGANRunConfig
from smalti.runs.folder import check_run_folder, open_run
from smalti.runs.stored import CHANGEABLE, CHANGEABLE_ON_RECORD, CONFIG_FILE, read_run_config
from smalti.training.config import TrainingConfig
from smalti.training.log import read_metrics
from smalti.training.run_lock import HOLDER_FILE, LOCK_FILES, Holder


def vqgan_config(**changes: object) -> VQGANRunConfig:
    return VQGANRunConfig.model_validate({"data": ("photos",)} | changes)


def listing(root: Path) -> dict[str, str]:
    """Every path below the root, with the hash of the files."""
    return {
        str(path.relative_to(root)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        )
        for path in root.rglob("*")
    }


def refuse(folder: Path, config: VQGANRunConfig | PriorRunConfig, match: str) -> None:
    """The folder is refused with this reason, and stays as it is."""
    before = listing(folder.parent)
    with pytest.raises(InputError, match=match):
        check_run_folder(folder, config)
    assert listing(folder.parent) == before


@pytest.fixture
def run(tmp_path) -> Path:
    """A run of stage 1 that was begun."""
    folder = tmp_path / "run"
    with open_run(folder, vqgan_config()):
        (folder / "metrics.jsonl").write_text("{}\n", encoding="utf-8")
    return folder


# Which folder is allowed


def test_new_empty_and_own_folders_are_allowed_and_left_as_they_are(tmp_path, run):
    (tmp_path / "empty").mkdir()
    before = listing(tmp_path)
    for folder in (tmp_path / "a" / "new", tmp_path / "empty", run):
        check_run_folder(folder, vqgan_config())
    assert listing(tmp_path) == before


def test_run_of_another_stage_is_refused(run):
    config = PriorRunConfig(data=("photos",), vqgan="runs/vqgan")
    refuse(run, config, "is a run of stage 'vqgan', not 'prior'; choose another --out")


def test_folder_with_other_files_is_refused(tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine", encoding="utf-8")
    refuse(folder, vqgan_config(), "thesis is not empty and not a run")


def test_changed_config_is_refused_with_the_keys_and_both_values(run):
    changed = vqgan_config(seed=7, vqgan={"codebook_size": 64})
    refuse(
        run,
        changed,
        r"another config: seed \(was 0, now 7\), vqgan\.codebook-size \(was 512, now 64\);",
    )


@pytest.mark.parametrize("stored", ["- a\n- b\n", "a: [1\n", "text"])
def test_config_that_is_none_is_refused(run, stored):
    (run / CONFIG_FILE).write_text(stored, encoding="utf-8")
    refuse(run, vqgan_config(), r"config\.yaml (is not|cannot be read)")


def test_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    refuse(tmp_path / "file" / "run", vqgan_config(), "file is a file, not a folder")


def test_folder_without_permission_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    refuse(tmp_path / "run", vqgan_config(), "no permission to write there")


def test_full_disk_is_refused(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**40, 2**40, 0))
    refuse(tmp_path / "run", vqgan_config(), "the disk is full")


CHANGES = {
    "out": "elsewhere",
    "image.small": "skip",
    "training.total_steps": 9,
    "training.activation_checkpointing": True,
    "training.log_steps": 9,
    "training.eval_steps": 9,
    "training.eval_images": 9,
    "training.save_steps": 9,
    "training.picture_steps": 9,
    "training.device": "cpu",
    "training.workers": 9,
    "training.track": "trackio",
    "training.auto_remedy": True,
}


def test_every_changeable_key_is_tried():
    tried_elsewhere = {
        "training.early_stop",  # test_settle.py
        "training.parallel",  # training/test_sharded_training.py
        "vqgan.content.class_names",  # test_content_stages.py
    }
    assert set(CHANGES) | tried_elsewhere == CHANGEABLE


@pytest.mark.parametrize(("key", "value"), CHANGES.items())
def test_what_changes_no_trained_number_may_differ(run, key, value):
    section, _, name = key.rpartition(".")
    changed = vqgan_config().model_dump(mode="json")
    (changed[section] if section else changed)[name] = value
    check_run_folder(run, vqgan_config(**changed))


CHANGES_ON_RECORD = {
    "optimizer.learning_rate": (0.001, 0.0005),
    "discriminator_optimizer.learning_rate": (0.0005, 0.0001),
    "training.precision": ("auto", "float32"),
    "training.compile": (False, True),
}


def test_every_key_that_may_change_on_record_is_tried():
    assert set(CHANGES_ON_RECORD) == CHANGEABLE_ON_RECORD


@pytest.mark.parametrize(("key", "values"), CHANGES_ON_RECORD.items())
def test_what_changes_the_training_from_a_checkpoint_on_may_differ_and_is_recorded(
    run, capsys, monkeypatch, key, values
):
    monkeypatch.setattr("smalti.runs.folder.newest_step", lambda checkpoints: 250)
    section, name = key.split(".")
    dumped = vqgan_config().model_dump(mode="json")
    dumped[section][name] = values[1]
    changed = vqgan_config(**dumped)
    check_run_folder(run, changed)
    for _ in range(2):  # the second time nothing has changed
        with open_run(run, changed):
            pass
    said = f"changed from step 250 on: {key.replace('_', '-')} from {values[0]} to {values[1]}\n"
    assert capsys.readouterr().err == said
    line = {"step": 250, "group": "change", "option": key, "was": values[0], "now": values[1]}
    assert read_metrics(run)[1:] == [line]


def test_change_before_the_first_checkpoint_is_none(run, capsys):
    """Nothing that was trained with the former value is left."""
    with open_run(run, vqgan_config(optimizer={"learning_rate": 0.0005})):
        pass
    assert capsys.readouterr().err == ""
    assert read_metrics(run) == [{}]


FIXED = [
    key
    for key in TrainingConfig.model_fields
    if f"training.{key}" not in {*CHANGES, *CHANGES_ON_RECORD}
]
OTHER_VALUES = {"ema_decay": 0.5}


@pytest.mark.parametrize("key", FIXED)
def test_other_keys_of_training_may_not_differ(run, key):
    value = OTHER_VALUES.get(key, 3)
    changed = vqgan_config(training={key: value})
    refuse(
        run,
        changed,
        rf"another config: training\.{key.replace('_', '-')} \(was .*, now {value!r}\);",
    )


# Opening it


def test_stored_config_is_the_resolved_one(tmp_path):
    config = vqgan_config(image={"size": [32, 64]}, data_weights=[0.5])
    with open_run(tmp_path / "run", config):
        stored = read_run_config(tmp_path / "run")
    assert VQGANRunConfig.model_validate(stored) == config
    check_run_folder(tmp_path / "run", config)


def test_resumed_run_stores_what_was_changed(run):
    with open_run(run, vqgan_config(training={"total_steps": 9})):
        assert (
            yaml.safe_load((run / CONFIG_FILE).read_text(encoding="utf-8"))["training"][
                "total_steps"
            ]
            == 9
        )
    assert (run / "metrics.jsonl").exists()


def test_folder_that_is_no_run_has_no_config(tmp_path):
    assert read_run_config(tmp_path) is None


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name not in LOCK_FILES)


def test_leftovers_of_the_killed_process_that_held_the_run_are_removed(run):
    (run / f"{TEMPORARY}12-a1-codes").mkdir()
    (run / f"{TEMPORARY}12-b2-config.yaml").write_text("half", encoding="utf-8")
    (run / "samples").mkdir()
    (run / "samples" / f"{TEMPORARY}12-c3-codes.png").write_text("half", encoding="utf-8")
    killed = replace(Holder.this_process(), pid=12)
    (run / HOLDER_FILE).write_text(json.dumps(asdict(killed)), encoding="utf-8")
    with open_run(run, vqgan_config()):
        assert names(run) == [CONFIG_FILE, "env.json", "metrics.jsonl", "samples"]
        assert names(run / "samples") == []


def test_what_another_program_is_writing_in_the_run_is_left_alone(run):
    """`smalti inspect RUN` writes a report while the run is resumed."""
    report = run / f"{TEMPORARY}12-a1-report"
    report.mkdir()
    enter(run)
    assert report.is_dir()
    os.utime(report, (0, 0))
    enter(run)
    assert not report.exists()


# Holding it (more in training/test_run_lock.py)


def enter(folder: Path) -> None:
    with open_run(folder, vqgan_config()):
        pass


def test_run_in_use_is_refused_and_stays_as_it_is(run):
    with open_run(run, vqgan_config()):
        before = listing(run)
        with pytest.raises(InputError, match="run is in use: process"):
            enter(run)
        assert listing(run) == before


def test_run_is_released_after_an_error(run):
    def fail() -> None:
        with open_run(run, vqgan_config()):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert LOCK_FILES.isdisjoint(path.name for path in run.iterdir())
    enter(run)


def test_folder_in_which_a_run_was_only_held_counts_as_empty(tmp_path):
    (tmp_path / HOLDER_FILE).write_text("{}", encoding="utf-8")
    check_run_folder(tmp_path, vqgan_config())


def test_run_that_another_process_began_meanwhile_is_not_replaced(tmp_path):
    """Data may take minutes to open, between the first look at the folder and holding it."""
    check_run_folder(tmp_path, vqgan_config())
    with open_run(tmp_path, vqgan_config(seed=7)):
        pass
    with pytest.raises(InputError, match="begun with another config: seed"):
        enter(tmp_path)
    assert read_run_config(tmp_path)["seed"] == 7


def test_run_from_before_an_option_existed_is_resumed(tmp_path):
    config = VQGANRunConfig(data=("photos",), out=str(tmp_path))
    stored = config.model_dump(mode="json")
    del stored["vqgan"]["middle_attention"], stored["training"]["auto_remedy"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(stored), encoding="utf-8")
    check_run_folder(tmp_path, config)
    changed = config.model_copy(
        update={"vqgan": config.vqgan.model_copy(update={"middle_attention": False})}
    )
    with pytest.raises(InputError, match="middle-attention"):
        check_run_folder(tmp_path, changed)

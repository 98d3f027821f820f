"""Finding, reading and writing the model of a folder, a run or a hub repository."""

import json
import os
import re
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import HTTPError
from torch import nn

from smalti.config import Config, InputError
from smalti.model_folder import find_model, load_model, read_tensors, save_model, step_folders


class TinyConfig(Config):
    width: int = 2


def save(folder: Path, value: float = 1.0) -> Path:
    save_model(folder, "tiny", TinyConfig(width=3), {"weight": torch.full((2, 2), value)})
    return folder


CLEAR_REFS = Path("/proc/self/clear_refs")
"""File of Linux; 5 written into it makes the peak of memory what is in use now."""


def peak_bytes() -> int:
    """Largest resident memory of this process since the peak was reset."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024


def test_saved_model_is_read_back(tmp_path):
    files = load_model(save(tmp_path / "model"), "tiny")
    assert files.folder == tmp_path / "model"
    assert files.parse_config(TinyConfig) == TinyConfig(width=3)
    assert torch.equal(files.tensors["weight"], torch.ones(2, 2))


def test_saving_replaces_an_older_model(tmp_path):
    save(tmp_path / "model", 1.0)
    save(tmp_path / "model", 2.0)
    assert load_model(tmp_path / "model", "tiny").tensors["weight"].unique().tolist() == [2.0]


def test_others_may_read_a_model(tmp_path):
    before = os.umask(0o022)
    try:
        save(tmp_path / "model")
    finally:
        os.umask(before)
    assert (tmp_path / "model" / "model.safetensors").stat().st_mode & 0o777 == 0o644


def test_views_are_written_too(tmp_path):
    """A transposed weight is not contiguous."""
    weight = torch.arange(6.0).view(2, 3).T
    save_model(tmp_path / "model", "tiny", TinyConfig(), {"weight": weight})
    assert torch.equal(load_model(tmp_path / "model", "tiny").tensors["weight"], weight)


def test_weights_must_fit_the_model(tmp_path):
    files = load_model(save(tmp_path / "model"), "tiny")
    with pytest.raises(InputError, match="do not fit its config") as error:
        files.build(lambda: nn.Linear(3, 2, bias=False))
    assert "\n" not in str(error.value)
    linear = files.build(lambda: nn.Linear(2, 2, bias=False))
    assert torch.equal(linear.weight.detach(), torch.ones(2, 2))


def test_unknown_key_of_a_config_is_named(tmp_path):
    path = save(tmp_path / "model") / "config.json"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"width"', '"widht"'), encoding="utf-8"
    )
    with pytest.raises(InputError, match=r"config\.json: widht: is not known"):
        load_model(tmp_path / "model", "tiny").parse_config(TinyConfig)


def test_damaged_tensors_are_named(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"not tensors")
    with pytest.raises(InputError, match=r"a\.safetensors is damaged or cut short"):
        read_tensors(path)


# Runs


def test_best_model_of_a_run_comes_first(tmp_path):
    save(tmp_path / "checkpoints" / "step_00000020")
    best = save(tmp_path / "checkpoints" / "best")
    assert find_model(tmp_path) == best


def test_newest_checkpoint_of_a_run_without_a_best_one(tmp_path):
    save(tmp_path / "checkpoints" / "step_00000020")
    newest = save(tmp_path / "checkpoints" / "step_00000100")
    (tmp_path / "checkpoints" / "step_00000200").mkdir()
    assert find_model(tmp_path) == newest


def test_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(InputError, match="not a model or run"):
        find_model(tmp_path)


def test_only_whole_names_are_step_folders(tmp_path):
    for name in ("step_00000100", "step_00000020", ".tmp-7-step_00000030", "step_4", "best"):
        (tmp_path / name).mkdir()
    assert [path.name for path in step_folders(tmp_path)] == ["step_00000020", "step_00000100"]
    assert step_folders(tmp_path / "nothing") == []


# The hub


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """A working folder in which no path looks like a hub id."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def test_hub_out_of_reach_is_one_line(elsewhere, stand_in_hub, monkeypatch):
    def fail(*_: object, **__: object) -> str:
        raise HTTPError("cannot reach the hub\nmore")

    monkeypatch.setattr(stand_in_hub, "find", fail)
    with pytest.raises(InputError, match=r"owner/name is neither .*: cannot reach the hub$"):
        find_model("owner/name")


def test_name_that_the_hub_does_not_allow_is_one_line(elsewhere):
    with pytest.raises(InputError, match=r"owner/na\.\.me is neither a folder here nor"):
        find_model("owner/na..me")


def test_folder_here_is_not_asked_of_the_hub(elsewhere, monkeypatch):
    """A mistyped name in a folder that exists is a missing folder, not a hub id."""

    def download(*_: object, **__: object) -> str:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(huggingface_hub, "HfApi", download)
    Path("runs").mkdir()
    with pytest.raises(InputError, match="runs/vqgn does not exist"):
        find_model("runs/vqgn")


# The form of the files


def test_models_without_a_version_are_read(tmp_path):
    path = save(tmp_path / "model") / "config.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    assert (description.pop("format"), description.pop("version")) == ("smalti", 1)
    path.write_text(json.dumps(description), encoding="utf-8")
    assert load_model(tmp_path / "model", "tiny").parse_config(TinyConfig) == TinyConfig(width=3)


def test_newer_form_is_refused(tmp_path):
    path = save(tmp_path / "model") / "config.json"
    newer = path.read_text(encoding="utf-8").replace('"version": 1', '"version": 2')
    path.write_text(newer, encoding="utf-8")
    with pytest.raises(InputError, match=r"model has form 2, of a newer smalti; .* up to 1: pip"):
        load_model(tmp_path / "model", "tiny")


def test_a_folder_here_has_no_revisions(tmp_path):
    save(tmp_path / "model")
    with pytest.raises(InputError, match="has no revisions"):
        find_model(tmp_path / "model", revision="v1")
    assert find_model(tmp_path, subfolder="model") == tmp_path / "model"


# What is no model of ours


@pytest.mark.parametrize("ending", ["ckpt", "pt", "pth", "bin", "safetensors"])
def test_file_of_another_program_is_to_be_imported(tmp_path, ending):
    path = tmp_path / f"last.{ending}"
    path.touch()
    with pytest.raises(
        InputError, match=rf"another program's model; .* smalti import {path} --out"
    ):
        find_model(path)


@pytest.mark.parametrize("key", ["_class_name", "architectures"])
def test_folder_of_diffusers_or_transformers_is_to_be_imported(tmp_path, key):
    (tmp_path / "config.json").write_text(json.dumps({key: "VQModel"}), encoding="utf-8")
    with pytest.raises(InputError, match=rf"smalti import {tmp_path} --out MODEL"):
        load_model(tmp_path, "tiny")


def test_pipeline_of_diffusers_is_to_be_imported(tmp_path):
    (tmp_path / "model_index.json").touch()
    with pytest.raises(InputError, match=rf"smalti import {tmp_path} --out MODEL"):
        find_model(tmp_path)


@pytest.mark.parametrize("place", ["last.ckpt", "checkpoints/last.ckpt"])
def test_run_of_another_program_names_its_checkpoint(tmp_path, place):
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with pytest.raises(InputError, match=rf"smalti import {path} --out MODEL"):
        find_model(tmp_path)


def test_file_of_a_model_asks_for_its_folder(tmp_path):
    folder = save(tmp_path / "model")
    with pytest.raises(InputError, match=rf"is a file of a model; give its folder, {folder}"):
        find_model(folder / "model.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    folder = save(tmp_path / "model", value)
    with pytest.raises(InputError, match=r"model are no numbers: weight holds NaN or infinity"):
        load_model(folder, "tiny").build(lambda: nn.Linear(2, 2, bias=False))


# Memory


def test_weights_of_another_type_become_the_type_of_the_model(tmp_path):
    weight = torch.tensor([[0.5, 2.0]], dtype=torch.float16)
    save_model(tmp_path / "model", "tiny", TinyConfig(), {"weight": weight})
    linear = load_model(tmp_path / "model", "tiny").build(lambda: nn.Linear(2, 1, bias=False))
    assert linear.weight.dtype == torch.float32
    assert linear.weight.tolist() == [[0.5, 2.0]]


def test_tensors_that_no_file_holds_are_those_of_a_new_model(tmp_path):
    class Scaled(nn.Linear):
        def __init__(self):
            super().__init__(2, 2, bias=False)
            self.register_buffer("scale", torch.tensor([3.0, 4.0]), persistent=False)

    scaled = load_model(save(tmp_path / "model"), "tiny").build(Scaled)
    assert scaled.scale.tolist() == [3.0, 4.0]
    assert torch.equal(scaled.weight.detach(), torch.ones(2, 2))


def test_model_that_computes_its_tables_on_the_processor_is_made_once(tmp_path):
    made = []

    class Scaled(nn.Linear):
        def __init__(self):
            super().__init__(2, 2, bias=False)
            scale = torch.tensor([3.0, 4.0], device="cpu")
            self.register_buffer("scale", scale, persistent=False)
            made.append(self)

    scaled = load_model(save(tmp_path / "model"), "tiny").build(Scaled)
    assert made == [scaled]
    assert scaled.scale.tolist() == [3.0, 4.0]


def test_what_is_written_into_weights_does_not_reach_the_file(tmp_path):
    folder = save(tmp_path / "model")
    linear = load_model(folder, "tiny").build(lambda: nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        linear.weight.zero_()
    assert load_model(folder, "tiny").tensors["weight"].unique().tolist() == [1.0]


@pytest.mark.skipif(
    not os.access(CLEAR_REFS, os.W_OK), reason="this system does not tell the peak of memory"
)
def test_loading_takes_hardly_more_memory_than_the_file(tmp_path):
    side = 4096  # 64 MiB, more than an allocator keeps for reuse
    weight = torch.zeros(side, side)
    save_model(tmp_path / "model", "tiny", TinyConfig(), {"weight": weight})
    CLEAR_REFS.write_text("5", encoding="utf-8")
    before = peak_bytes()
    loaded = load_model(tmp_path / "model", "tiny").build(lambda: nn.Linear(side, side, bias=False))
    assert torch.equal(loaded.weight[-1].detach(), weight[-1])
    assert peak_bytes() - before < 1.3 * weight.nbytes

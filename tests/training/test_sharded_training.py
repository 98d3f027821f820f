"""Two processes, each with a part of the prior, train what one process with all of it does."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from skimage import data

from helpers.processes import run_as_two
from smalti.config import InputError
from smalti.model_folder import read_tensors
from smalti.runs import data as run_data
from smalti.runs.config import PriorRunConfig
from smalti.runs.prior import train_prior
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.log import read_metrics
from smalti.training.shards import read_shards, sizes_in

STEPS, HALF = 8, 4
SCRIPT = Path(__file__).with_name("two_processes.py")
TOKENIZER = VQGANConfig(channels=8, channel_multipliers=(1, 1), code_dim=8, codebook_size=16)

GPT = {"layers": 2, "heads": 2, "width": 16, "dropout": 0.0}
PIXELSNAIL = {"kind": "pixelsnail", "blocks": 1, "heads": 2, "width": 8, "dropout": 0.0}


@pytest.fixture(autouse=True)
def no_curves(monkeypatch) -> None:
    """Drawing takes longer than training."""
    monkeypatch.setattr(run_data, "draw_curves", lambda _folder: None)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Pieces of a photograph, and a tokenizer that has learned nothing."""
    root = tmp_path_factory.mktemp("sharded")
    (root / "photos").mkdir()
    pixels = data.astronaut()
    for number in range(24):
        top, left = 40 * (number // 8), 50 * (number % 8)
        piece = Image.fromarray(pixels[top : top + 20, left : left + 20])
        piece.save(root / "photos" / f"{number:02}piece.png")
    torch.manual_seed(0)
    VQGAN(TOKENIZER).save_pretrained(root / "vqgan")
    return root


def config(root: Path, out: str, steps: int = STEPS, **changes: Any) -> dict[str, Any]:
    """Config of a run in two chunks a step, whose learning rate does not depend on its length."""
    training = {
        "total_steps": steps,
        "batch_size": 8,
        "accumulation_steps": 2,
        "log_steps": 1,
        "eval_steps": HALF,
        "device": "cpu",
        "precision": "float32",
    }
    return {
        "data": (str(root / "photos"),),
        "vqgan": str(root / "vqgan"),
        "out": str(root / out),
        "image": {"size": 10, "resize_px": "keep"},
        "prior": changes.pop("prior", GPT),
        "codes": {"views": 2},
        "token_keep": 1,
        "optimizer": {"warmup_steps": 0, "final_factor": 1},
        "training": training | changes,
    }


def sharded(root: Path, out: str, **changes: Any) -> dict[str, Any]:
    return config(root, out, parallel="sharded", **changes)


def alone(root: Path, out: str, **changes: Any) -> Path:
    """Train in this process, from where the run stands."""
    return train_prior(PriorRunConfig.model_validate(config(root, out, **changes)))


@pytest.fixture(scope="module")
def runs(root) -> Path:
    """Runs of two processes in one launch; one of them was begun by one process, not sharded."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run_data, "draw_curves", lambda _folder: None)
        alone(root, "begun_by_one", steps=HALF)
    jobs = [
        sharded(root, "gpt"),
        sharded(root, "pixelsnail", prior=PIXELSNAIL),
        sharded(root, "begun_by_two", steps=HALF, activation_checkpointing=True),
        sharded(root, "begun_by_one"),
        sharded(root, "bfloat16", steps=2, precision="bfloat16"),
    ]
    described = [{"stage": "prior", "config": job} for job in jobs]
    (root / "jobs.json").write_text(json.dumps(described), encoding="utf-8")
    ended = run_as_two([str(SCRIPT), str(root / "jobs.json")])
    for rank in (0, 1):
        outcome = root / f"outcome.{rank}.json"
        assert outcome.is_file(), ended
        assert json.loads(outcome.read_text(encoding="utf-8")) == [""] * len(jobs), ended
    return root


def checkpoint(run: Path) -> Path:
    return run / "checkpoints" / f"step_{STEPS:08d}"


def losses(run: Path) -> list[float]:
    """Loss of each step, and the score of each evaluation."""
    return [line["nll"] for line in read_metrics(run) if line["group"] in ("train", "eval")]


def check_same(run: Path, other: Path) -> None:
    """Two runs have the same losses and averaged weights."""
    assert len(losses(run)) == STEPS + 2
    assert losses(run) == pytest.approx(losses(other), abs=1e-5)
    ours, theirs = (read_tensors(checkpoint(one) / "model.safetensors") for one in (run, other))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "prior"), [("gpt", GPT), ("pixelsnail", PIXELSNAIL)])
def test_sharded_prior_is_trained_as_a_whole_one(runs, name, prior):
    check_same(runs / name, alone(runs, f"{name}_alone", prior=prior))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs the C++ compiler g++")
def test_two_processes_train_a_compiled_prior_as_one_does_another(root):
    """Sharded or not, with activation checkpointing."""
    changes = {"compile": True, "activation_checkpointing": True}
    jobs = [sharded(root, "compiled_parts", **changes), config(root, "compiled", **changes)]
    described = [{"stage": "prior", "config": job} for job in jobs]
    (root / "compiled.json").write_text(json.dumps(described), encoding="utf-8")
    assert [ended.code for ended in run_as_two([str(SCRIPT), str(root / "compiled.json")])] == [
        0,
        0,
    ]
    alone(root, "not_compiled")
    for name in ("compiled_parts", "compiled"):
        check_same(root / name, root / "not_compiled")


def test_sharded_run_goes_on_in_one_process_with_the_whole(runs):
    """And without the activation checkpointing with which it began."""
    alone(runs, "begun_by_two")
    check_same(runs / "begun_by_two", runs / "gpt")


def test_run_of_one_process_goes_on_sharded(runs):
    check_same(runs / "begun_by_one", runs / "gpt")


def test_sharded_checkpoint_is_safetensors_and_json_with_a_file_of_each_process(runs):
    files = sorted(path.name for path in checkpoint(runs / "gpt").iterdir())
    assert files == [
        "config.json",
        "model.safetensors",
        *(f"shard-0000{number}-model-00001-of-00001.safetensors" for number in (1, 2)),
        "training.json",
    ]
    parts = [read_tensors(checkpoint(runs / "gpt") / name) for name in files if "shard-" in name]
    name = "optimizer/0/exp_avg"
    assert len(parts[0][name]) + len(parts[1][name]) == sizes_in(checkpoint(runs / "gpt"))[name][0]


def test_exported_model_is_the_gathered_average(runs):
    folder = checkpoint(runs / "gpt")
    model = read_tensors(folder / "model.safetensors")
    average = {f"average/{name}": torch.zeros_like(tensor) for name, tensor in model.items()}
    read_shards(folder, average)
    assert all(torch.equal(average[f"average/{name}"], model[name]) for name in model)


def test_pictures_are_drawn_while_a_prior_is_sharded(runs):
    assert (runs / "gpt" / "samples").is_dir()
    drawn = {path.name for path in (runs / "gpt" / "samples").iterdir()}
    assert drawn == {path.name for path in (runs / "pixelsnail" / "samples").iterdir()} != set()


def test_bfloat16_is_trained_too(runs):
    (line,) = (one for one in read_metrics(runs / "bfloat16") if one["group"] == "eval")
    assert line["nll"] == pytest.approx(losses(runs / "gpt")[0], abs=0.5)


def test_shard_of_another_shape_is_refused_in_one_line(runs):
    tensors = {"prior/head.weight": torch.zeros(3, 16)}
    with pytest.raises(
        InputError, match=r"^the checkpoint does not fit this config: Size mismatch"
    ):
        read_shards(checkpoint(runs / "gpt"), tensors)

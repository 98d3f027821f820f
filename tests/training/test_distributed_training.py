"""Two processes train what one does with the same batches, and go wrong together."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from skimage import data

from helpers.processes import NETWORK, SRUN, Ended, run_as_two
from helpers.signals import needs_sent_signals
from smalti.cluster import STOP_SIGNALS
from smalti.model_folder import read_tensors
from smalti.runs import data as run_data
from smalti.runs.config import PriorRunConfig, VQGANRunConfig
from smalti.runs.prior import train_prior
from smalti.runs.vqgan import train_vqgan
from smalti.training.log import read_metrics
from smalti.training.run_lock import HOLDER_FILE

STEPS = 12  # two more than it takes the adversary to count in full
LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
LAUNCH += ["-m", "smalti"]
SCRIPT = Path(__file__).with_name("two_processes.py")

Config = dict[str, Any]


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Pieces of one photograph."""
    root = tmp_path_factory.mktemp("photos")
    pixels = np.asarray(data.astronaut())
    for number in range(24):
        top, left = 40 * (number // 8), 50 * (number % 8)
        piece = Image.fromarray(pixels[top : top + 40, left : left + 40])
        piece.save(root / f"{number:02}piece.png")
    return root


def vqgan_config(photos: Path, **changes: Any) -> Config:
    training = {
        "total_steps": STEPS,
        "batch_size": 8,
        "log_steps": 3,
        "eval_steps": 6,
        "device": "cpu",
        "precision": "float32",
    }
    return {
        "data": (str(photos),),
        "image": {"size": 16, "resize_px": "keep"},
        "vqgan": {
            "channels": 16,
            "channel_multipliers": (1, 1),
            "code_dim": 8,
            "codebook_size": 16,
            "quantizer": changes.pop("quantizer", {"kind": "vector"}),
        },
        "discriminator": {"filters": 4, "layers": 1},
        "loss": {
            "perceptual": {"kind": "none"},
            "adversary": {"start": 4, "warmup": 2, "ramp": 4},
        },
        "training": training | changes.pop("training", {}),
    } | changes


def prior_config(photos: Path, vqgan: Path) -> Config:
    config = vqgan_config(photos, vqgan=str(vqgan), training={"accumulation_steps": 2})
    del config["discriminator"], config["loss"]
    prior = {"layers": 1, "heads": 2, "width": 16, "dropout": 0.0}
    return config | {"prior": prior, "codes": {"views": 2}, "token_keep": 1}


def indivisible(config: Config) -> Config:
    """A run whose batch does not divide among the chunks of two processes."""
    return config | {"training": config["training"] | {"batch_size": 6, "accumulation_steps": 2}}


class Pair(NamedTuple):
    """Runs of two processes and the same of one, and how they ended in each of the two."""

    root: Path
    outcomes: dict[str, list[str]]
    ended: list[Ended]

    def run(self, name: str) -> Path:
        return self.root / "two" / name

    def alone(self, name: str) -> Path:
        return self.root / "one" / name


@pytest.fixture(scope="module")
def configs(photos) -> dict[str, Config]:
    spectral = {"filters": 4, "layers": 1, "norm": "spectral"}
    # Entries fall out of use at once, so that restarts come in every step.
    ema = {"kind": "ema", "decay": 0.5, "restart_below": 0.5}
    two_parts = {"accumulation_steps": 2}
    return {
        # Of the seeds 0 to 4 only 0 parts, after step 10, where rounding moves a vector to another
        # code; with the others all weights agree to about 1e-6.
        "vector": vqgan_config(photos, seed=1),
        "ema_in_parts": vqgan_config(photos, quantizer=ema, training=two_parts),
        "lfq": vqgan_config(photos, quantizer={"kind": "lfq"}),
        "spectral": vqgan_config(photos, discriminator=spectral),
    }


@pytest.fixture(scope="module")
def evaluated(photos, tmp_path_factory) -> dict[str, Config]:
    """One step without effect, then an evaluation of 10 of 12 held-out images.

    They are three batches for two processes, the last of which is cut.
    """
    labels = tmp_path_factory.mktemp("labels")
    for path in photos.iterdir():
        with Image.open(path) as photo:
            Image.fromarray(np.asarray(photo.convert("L")) // 64).save(labels / path.name)
    configs = {}
    for name, data_set in {"evaluated": photos, "evaluated_labels": labels}.items():
        configs[name] = vqgan_config(
            data_set,
            held_out=0.5,
            optimizer={"learning_rate": 1e-12},
            loss={"perceptual": {"kind": "none"}, "adversary": {"kind": "none"}},
            training={"total_steps": 1, "eval_images": 10},
        )
    configs["evaluated_labels"]["vqgan"]["content"] = {"kind": "labels", "classes": 4}
    return configs


@pytest.fixture(scope="module")
def pair(photos, configs, evaluated, tmp_path_factory) -> Pair:
    """One launch of two processes for all of this file's runs: it takes longer than they do.

    The last run ends with the second process.
    """
    root = tmp_path_factory.mktemp("runs")
    vqgan = root / "two" / "vector"
    both = configs | evaluated
    jobs = {name: {"stage": "vqgan", "config": config} for name, config in both.items()}
    jobs["spectral"]["config"] = vqgan_config(
        photos,
        discriminator=configs["spectral"]["discriminator"],
        training={"accumulation_steps": 2},
    )
    jobs["ema_in_parts"]["config"] = vqgan_config(
        photos,
        quantizer=configs["ema_in_parts"]["vqgan"]["quantizer"],
        training={"accumulation_steps": 2, "activation_checkpointing": True},
    )
    jobs["prior"] = {"stage": "prior", "config": prior_config(photos, vqgan)}
    jobs["indivisible"] = {"stage": "vqgan", "config": indivisible(configs["vector"])}
    for name, disturbance in {
        "stopped": {"rank": 1, "step": 5, "how": "signal"},
        "poisoned": {"rank": 1, "step": 5, "how": "nan"},
        "lost": {"rank": 1, "step": 3, "how": "death"},
    }.items():
        jobs[name] = {"stage": "vqgan", "config": configs["vector"], "disturbance": disturbance}
    for name, job in jobs.items():
        job["config"] = job["config"] | {"out": str(root / "two" / name)}
    (root / "jobs.json").write_text(json.dumps(list(jobs.values())), encoding="utf-8")
    ended = run_as_two([str(SCRIPT), str(root / "jobs.json")], SRUN)
    files = [root / f"outcome.{rank}.json" for rank in (0, 1)]
    assert all(file.is_file() for file in files), ended
    outcomes = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    finished = [name for name in jobs if name != "lost"]
    assert [len(of_rank) for of_rank in outcomes] == [len(finished)] * 2, ended
    by_name = {name: list(both) for name, *both in zip(finished, *outcomes, strict=True)}
    return Pair(root, by_name, ended)


@pytest.fixture(autouse=True)
def no_curves(monkeypatch) -> None:
    """Drawing takes longer than training."""
    monkeypatch.setattr(run_data, "draw_curves", lambda _folder: None)


def tensors(run: Path) -> dict[str, Any]:
    return read_tensors(run / "checkpoints" / f"step_{STEPS:08d}" / "training.safetensors")


def differences(run: Path, other: Path) -> dict[str, float]:
    """Largest difference of each network."""
    ours, theirs = tensors(run), tensors(other)
    assert ours.keys() == theirs.keys()
    largest: dict[str, float] = {}
    for name, tensor in ours.items():
        group = name.partition("/")[0]
        difference = float((tensor.double() - theirs[name].double()).abs().max())
        largest[group] = max(largest.get(group, 0.0), difference)
    return {group: value for group, value in largest.items() if "optimizer" not in group}


@pytest.mark.parametrize("name", ["vector", "ema_in_parts", "lfq", "spectral"])
def test_two_processes_train_the_same_tokenizer_as_one(pair, configs, name):
    """`spectral` comes in two parts a step for the two processes, and whole for the one.

    The two compute `ema_in_parts` with activation checkpointing, the one without.
    """
    assert pair.outcomes[name] == ["", ""]
    config = configs[name] | {"out": str(pair.alone(name))}
    train_vqgan(VQGANRunConfig.model_validate(config))
    found = differences(pair.run(name), pair.alone(name))
    assert {"vqgan", "average", "discriminator"} <= found.keys()
    assert max(found.values()) < 1e-5, found


@pytest.mark.parametrize("name", ["evaluated", "evaluated_labels"])
def test_two_processes_measure_what_one_measures(pair, evaluated, name):
    assert pair.outcomes[name] == ["", ""]
    train_vqgan(VQGANRunConfig.model_validate(evaluated[name] | {"out": str(pair.alone(name))}))
    (measured,) = (line for line in numbers(pair.run(name)) if "code_vectors" in line)
    (expected,) = (line for line in numbers(pair.alone(name)) if "code_vectors" in line)
    assert measured == pytest.approx(expected, rel=1e-6)
    assert measured["code_vectors"] == 10 * 8 * 8


def test_two_processes_train_the_same_prior_as_one(pair, photos):
    assert pair.outcomes["prior"] == ["", ""]
    config = prior_config(photos, pair.run("vector")) | {"out": str(pair.alone("prior"))}
    train_prior(PriorRunConfig.model_validate(config))
    found = differences(pair.run("prior"), pair.alone("prior"))
    assert max(found.values()) < 1e-5, found
    lines, others = numbers(pair.run("prior")), numbers(pair.alone("prior"))
    assert lines == [pytest.approx(other, rel=1e-4, abs=1e-6) for other in others]


def test_two_processes_tell_once_what_one_tells(pair, configs):
    """The losses are means over both."""
    config = configs["vector"] | {"out": str(pair.alone("vector"))}
    train_vqgan(VQGANRunConfig.model_validate(config))  # is done already if another test did it
    lines, others = numbers(pair.run("vector")), numbers(pair.alone("vector"))
    assert [line["step"] for line in lines] == [3, 6, 6, 9, 12, 12]
    assert lines == [pytest.approx(other, rel=1e-4, abs=1e-6) for other in others]


def numbers(run: Path) -> list[dict[str, float]]:
    """What was trained and evaluated, without the times that it took."""
    left_out = {"group", "seconds", "data_wait", "images_per_second"}
    lines = [line for line in read_metrics(run) if line["group"] in ("train", "eval")]
    return [{name: line[name] for name in line.keys() - left_out} for line in lines]


def test_process_0_speaks_for_both(pair):
    first, second = pair.ended
    line = f"run: {pair.run('vector')}   device: cpu (1 thread), float32   processes: 2"
    assert line in first.said
    assert second.said == ""


# What ends one process ends both


def test_signal_to_one_process_stops_both_after_the_same_step(pair, configs):
    """And one process goes on alone, as if it had always been alone."""
    name = signal.Signals(STOP_SIGNALS[-1]).name  # SIGUSR1, where there is one
    assert pair.outcomes["stopped"] == [f"Stopped: stopped by {name}"] * 2
    run = pair.run("stopped")
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step_00000005"]
    assert not (run / HOLDER_FILE).exists()
    train_vqgan(VQGANRunConfig.model_validate(configs["vector"] | {"out": str(run)}))
    found = differences(run, pair.run("vector"))
    assert max(found.values()) < 1e-5, found


def test_number_that_is_none_in_one_process_ends_both_with_its_line(pair):
    first, second = pair.outcomes["poisoned"]
    line = second.removeprefix("NotFiniteError: ")
    assert line.startswith("pixel_loss became nan at step 5; batch: ")
    assert first == f"InputError: {line}"
    assert not list((pair.run("poisoned") / "checkpoints").glob("step_*"))


def test_process_that_dies_ends_the_other_with_one_line(pair):
    survivor, dead = pair.ended
    assert (survivor.code, dead.code) == (1, 3)
    assert "ProcessLostError: another process of the run ended" in survivor.said
    assert not (pair.run("lost") / HOLDER_FILE).exists()


@needs_sent_signals
@pytest.mark.slow
def test_run_that_was_killed_while_it_saved_goes_on_as_if_nothing_had_been(photos, tmp_path):
    """The other process ends by itself, and nothing half-written stays."""
    config = vqgan_config(photos, training={"save_steps": 4})
    whole, killed = (
        {"stage": "vqgan", "config": config | {"out": str(tmp_path / name)}}
        for name in ("whole", "killed")
    )
    jobs = tmp_path / "jobs.json"
    kill = {"rank": 0, "step": 8, "how": "kill in save"}
    jobs.write_text(json.dumps([whole, killed | {"disturbance": kill}]), encoding="utf-8")
    dead, survivor = run_as_two([str(SCRIPT), str(jobs)])
    assert (dead.code, survivor.code) == (-signal.SIGKILL, 1)
    assert "ProcessLostError: another process of the run ended" in survivor.said
    checkpoints = tmp_path / "killed" / "checkpoints"
    assert list(checkpoints.glob(".tmp-*-step_00000008/training.safetensors"))
    jobs.write_text(json.dumps([killed]), encoding="utf-8")
    assert [process.code for process in run_as_two([str(SCRIPT), str(jobs)])] == [0, 0]
    assert not list((tmp_path / "killed").rglob(".tmp-*"))
    assert not (tmp_path / "killed" / HOLDER_FILE).exists()
    assert max(differences(tmp_path / "killed", tmp_path / "whole").values()) == 0
    assert numbers(tmp_path / "killed") == numbers(tmp_path / "whole")


def test_batch_that_does_not_divide_ends_both_before_anything_is_made(pair):
    line = "with 2 processes and batches computed in 2 chunks, allowed are multiples of 4"
    assert pair.outcomes["indivisible"] == [f"InputError: batch-size is 6; {line}"] * 2
    assert not pair.run("indivisible").exists()


@pytest.mark.slow
def test_torchrun_with_a_batch_that_does_not_divide_says_so_once(photos, tmp_path):
    command = [*LAUNCH, "train", "vqgan", "--data", str(photos), "--out", str(tmp_path / "run")]
    options = ["--training.batch_size", "6", "--training.accumulation_steps", "2"]
    ended = subprocess.run(
        [*command, *options, "--training.device", "cpu", "--image.size", "32"],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | NETWORK,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    said = [line for line in ended.stderr.splitlines() if line.startswith("smalti: ")]
    assert said == [
        "smalti: batch-size is 6; with 2 processes and batches computed in 2 chunks, allowed are "
        "multiples of 4"
    ]
    assert ended.returncode != 0
    assert "exitcode  : 2" in ended.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@needs_sent_signals
def test_processes_whose_torchrun_is_killed_save_and_end(photos, tmp_path):
    config = vqgan_config(photos, training={"total_steps": 1500, "log_steps": 1})
    file, run = tmp_path / "config.yaml", tmp_path / "run"
    file.write_text(json.dumps(config), encoding="utf-8")
    launcher = subprocess.Popen(
        [*LAUNCH, "train", "vqgan", "--config", str(file), "--out", str(run)],
        env=os.environ | {"OMP_NUM_THREADS": "1"} | NETWORK,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    while not any(line["group"] == "train" for line in read_metrics(run)):
        assert launcher.poll() is None, launcher.communicate()[1]
        time.sleep(0.1)
    launcher.kill()
    said = launcher.communicate()[1]  # until the processes that it started have ended, too
    assert "torchrun has ended: saving" in said
    assert "smalti: stopped by SIGTERM; all is saved" in said
    assert not (run / HOLDER_FILE).exists()
    (step,) = (run / "checkpoints").glob("step_*")
    assert int(step.name.removeprefix("step_")) < 1500

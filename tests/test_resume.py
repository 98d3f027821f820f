"""A run that was stopped and resumed equals one that was not, bit for bit, in both stages."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.signals import needs_sent_signals
from smalti.data.split import SceneNames
from smalti.model_folder import read_tensors
from smalti.runs import data as run_data
from smalti.runs.config import PriorRunConfig, RunConfig, VQGANRunConfig
from smalti.runs.prior import train_prior
from smalti.runs.training_images import FILE as TRAINING_IMAGES
from smalti.runs.vqgan import train_vqgan
from smalti.training.log import read_metrics
from smalti.training.loop import Stopped
from smalti.training.prior.learner import PriorLearner
from smalti.training.run_lock import HOLDER_FILE
from smalti.training.vqgan.learner import VQGANLearner

STEPS = 8
EPOCH = 5  # steps, of 22 training images in batches of 4; two of 24 are held out
ADVERSARY = {"start": 3, "warmup": 1, "ramp": 2}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """The order of sums, and so their last bits, depends on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def no_curves() -> Iterator[None]:
    """Drawing takes longer than training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_data, "draw_curves", lambda _folder: None)
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Coloured noise, in two classes."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(24):
        path = root / ("cat" if number % 2 else "dog") / f"{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return root


def shared_options(photos: Path) -> dict[str, Any]:
    training = {
        "total_steps": STEPS,
        "batch_size": 4,
        "accumulation_steps": 2,
        "log_steps": 1,
        "eval_steps": 3,
        "device": "cpu",
        "precision": "float32",
    }
    return {
        "data": (str(photos),),
        "image": {"size": 16, "resize_px": "keep"},
        "training": training,
    }


@pytest.fixture(scope="module")
def vqgan_config(photos, tmp_path_factory) -> VQGANRunConfig:
    return VQGANRunConfig.model_validate(
        {
            "out": str(tmp_path_factory.mktemp("runs") / "vqgan"),
            "vqgan": {"channel_multipliers": (1, 1), "code_dim": 8, "codebook_size": 16},
            "discriminator": {"filters": 4, "layers": 1},
            "loss": {"perceptual": {"kind": "none"}, "adversary": ADVERSARY},
        }
        | shared_options(photos)
    )


@pytest.fixture(scope="module")
def vqgan_run(vqgan_config) -> Path:
    """Stage 1, never stopped."""
    return train_vqgan(vqgan_config)


@pytest.fixture(scope="module")
def prior_config(photos, vqgan_run) -> PriorRunConfig:
    return PriorRunConfig.model_validate(
        {
            "out": str(vqgan_run.parent / "prior"),
            "vqgan": str(vqgan_run),
            "condition": "class",
            "condition_drop": 0.5,
            "token_keep": 0.7,
            "codes": {"views": 2},
            "prior": {"layers": 1, "heads": 2, "width": 16, "dropout": 0.3},
        }
        | shared_options(photos)
    )


@pytest.fixture(scope="module")
def prior_run(prior_config) -> Path:
    """Stage 2, never stopped."""
    return train_prior(prior_config)


def with_changes(config: RunConfig, out: Path, **training: int) -> Any:
    changed = config.training.model_copy(update=training)
    return config.model_copy(update={"out": str(out), "training": changed})


def interrupt(
    monkeypatch: pytest.MonkeyPatch, stage: type, train: Callable, config: RunConfig, stop: int
) -> None:
    """Train until a signal comes in the middle of step number `stop`."""
    step = stage.step

    def step_and_signal(self, batch):
        scalars = step(self, batch)
        if self.training.step == stop:
            signal.raise_signal(signal.SIGTERM)
        return scalars

    with monkeypatch.context() as patch:
        patch.setattr(stage, "step", step_and_signal)
        with pytest.raises(Stopped):
            train(config)
    (folder,) = (Path(config.out) / "checkpoints").glob("step_*")
    assert folder.name == f"step_{stop:08d}"


def numbers(run: Path) -> list[dict[str, Any]]:
    """All lines of the metrics, without the time they took."""
    times = {"seconds", "data_wait", "images_per_second"}
    lines = read_metrics(run)
    return [{name: v for name, v in line.items() if name not in times} for line in lines]


def assert_equal_runs(run: Path, expected: Path, steps: int = STEPS) -> None:
    """The same lines, tensors and counters to the last bit, in the last and the best model."""
    assert numbers(run) == numbers(expected)
    for name in ("best/model", f"step_{steps:08d}/model", f"step_{steps:08d}/training"):
        tensors, others = (
            read_tensors(folder / "checkpoints" / f"{name}.safetensors")
            for folder in (run, expected)
        )
        assert tensors.keys() == others.keys()
        different = [key for key in tensors if not torch.equal(tensors[key], others[key])]
        assert different == [], name
    counters = []
    for folder in (run, expected):
        path = folder / "checkpoints" / f"step_{steps:08d}" / "training.json"
        counters.append(json.loads(path.read_text(encoding="utf-8"))["counters"])
        del counters[-1]["seconds"]
    assert counters[0] == counters[1]


def test_uninterrupted_runs_train_everything_that_a_resumed_one_must_restore(vqgan_run, prior_run):
    """Or equal runs would prove little."""
    name = f"checkpoints/step_{STEPS:08d}/training.safetensors"
    groups = {key.partition("/")[0] for key in read_tensors(vqgan_run / name)}
    adversary = {"discriminator", "schedule", "logit_averages", "remedies"}
    optimizers = {"generator_optimizer", "discriminator_optimizer"}
    assert groups == {"vqgan", "average", *adversary} | optimizers
    groups = {key.partition("/")[0] for key in read_tensors(prior_run / name)}
    assert groups == {"prior", "average", "optimizer"}
    trained = [line for line in numbers(vqgan_run) if line["group"] == "train"]
    assert "adaptive_weight" in trained[-1]


@pytest.mark.parametrize(
    ("stop", "workers"),
    [(2, 0), (4, 0), (EPOCH, 2)],
    ids=["before_the_adversary", "in_its_warm_up", "epoch_end_then_two_workers"],
)
def test_resumed_stage_1_equals_an_uninterrupted_run(
    vqgan_config, vqgan_run, tmp_path, monkeypatch, stop, workers
):
    config = with_changes(vqgan_config, tmp_path / "run")
    interrupt(monkeypatch, VQGANLearner, train_vqgan, config, stop)
    train_vqgan(with_changes(config, tmp_path / "run", workers=workers))
    assert_equal_runs(tmp_path / "run", vqgan_run)


@pytest.mark.parametrize("stop", [2, EPOCH], ids=["in_an_epoch", "epoch_end"])
def test_resumed_stage_2_equals_an_uninterrupted_run(
    prior_config, prior_run, tmp_path, monkeypatch, stop
):
    config = with_changes(prior_config, tmp_path / "run")
    interrupt(monkeypatch, PriorLearner, train_prior, config, stop)
    train_prior(config)
    assert_equal_runs(tmp_path / "run", prior_run)


def test_resumed_stage_2_stops_early_where_an_uninterrupted_run_does(
    prior_config, tmp_path, monkeypatch, capsys
):
    """Step 2 is the best; the signal comes between it and the second step without gain, 4."""
    evaluate = PriorLearner.evaluate
    monkeypatch.setattr(
        PriorLearner,
        "evaluate",
        lambda stage: {**evaluate(stage), "score": float(abs(stage.training.step - 2))},
    )
    changes = {"eval_steps": 1, "early_stop": 2}
    train_prior(with_changes(prior_config, tmp_path / "whole", **changes))
    config = with_changes(prior_config, tmp_path / "run", **changes)
    interrupt(monkeypatch, PriorLearner, train_prior, config, stop=3)
    train_prior(config)
    assert_equal_runs(tmp_path / "run", tmp_path / "whole", steps=4)
    said = capsys.readouterr().err
    line = "stopped early at step 4 of 8: 2 evaluations without gain. The best model is that of"
    assert said.count(f"{line} step 2") == 2
    train_prior(with_changes(config, tmp_path / "run", early_stop=None))
    assert numbers(tmp_path / "run")[-1]["step"] == STEPS


@pytest.mark.parametrize("stage", ["vqgan", "prior"])
def test_run_that_was_begun_by_the_former_rule_keeps_its_held_out_images(
    vqgan_config, prior_config, tmp_path, monkeypatch, stage
):
    """It has written no file of its training images, and its split goes by the whole path."""
    config, train, loop_stage = {
        "vqgan": (vqgan_config, train_vqgan, VQGANLearner),
        "prior": (prior_config, train_prior, PriorLearner),
    }[stage]
    config = with_changes(config.model_copy(update={"held_out": 0.4}), tmp_path, total_steps=4)
    whole, run = (config.model_copy(update={"out": str(tmp_path / name)}) for name in "ab")
    with monkeypatch.context() as patch:
        patch.setattr(run_data, "rule_of_run", lambda _run: SceneNames())
        train(whole)
        interrupt(monkeypatch, loop_stage, train, run, stop=2)
    (tmp_path / "b" / TRAINING_IMAGES).unlink()
    train(run)
    assert_equal_runs(tmp_path / "b", tmp_path / "a", steps=4)
    train(with_changes(run, tmp_path / "b", total_steps=5))  # now it has the file
    images = [line for line in numbers(tmp_path / "b") if line["group"] == "images"]
    assert len(images) == 1


def test_steps_after_the_last_checkpoint_are_done_again(
    vqgan_config, vqgan_run, tmp_path, monkeypatch
):
    """A killed run has told of steps that no checkpoint holds; their lines come once only."""
    config = with_changes(vqgan_config, tmp_path / "run", save_steps=4)
    step = VQGANLearner.step

    def die(self, batch):
        if self.training.step == 6:
            raise MemoryError
        return step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(VQGANLearner, "step", die)
        with pytest.raises(MemoryError):
            train_vqgan(config)
    assert numbers(tmp_path / "run")[-1]["step"] == 6
    train_vqgan(config)
    assert_equal_runs(tmp_path / "run", vqgan_run)


# Stops in the middle of a step until its standard input closes: the signal comes meanwhile.
COMMAND = textwrap.dedent(f"""
    import sys
    import torch
    torch.set_num_threads(1)
    from smalti.training.vqgan.learner import VQGANLearner
    step = VQGANLearner.step

    def step_and_wait(self, batch):
        scalars = step(self, batch)
        if self.training.step == {EPOCH + 1}:
            print("ready", flush=True)
            sys.stdin.read()
        return scalars

    VQGANLearner.step = step_and_wait
    from smalti.cli.main import console
    console()
""")


@needs_sent_signals
@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("SIGUSR1", 75),
        pytest.param("SIGTERM", 143, marks=pytest.mark.slow),
        pytest.param("SIGINT", 130, marks=pytest.mark.slow),
    ],
)
def test_signalled_command_saves_exits_with_its_code_and_resumes(
    vqgan_config, vqgan_run, tmp_path, number, code
):
    config = with_changes(vqgan_config, tmp_path / "run")
    options = tmp_path / "config.json"
    options.write_text(json.dumps(config.model_dump(mode="json")), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, "train", "vqgan", "--config", str(options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        encoding="utf-8",
    ) as command:
        assert command.stdout.readline() == "ready\n"
        command.send_signal(signal.Signals[number])
        _, said = command.communicate()
    assert command.returncode == code
    again = f"all is saved: smalti resume {tmp_path}/run goes on from here"
    assert said.splitlines()[-1].endswith(again)
    assert not (tmp_path / "run" / HOLDER_FILE).exists()
    train_vqgan(config)
    assert_equal_runs(tmp_path / "run", vqgan_run)

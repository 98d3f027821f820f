"""`smalti evaluate` from end to end, on a tiny run, and what it refuses."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from smalti.runs.training_images import FILE
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN


@pytest.fixture
def refused(call, here):
    """Runs a command that must be refused with a line that has all the words."""

    def run(arguments, *words):
        result = call("evaluate", *arguments)
        assert result.code == 2, result.err
        assert len(result.error_lines) == 1, result.err
        for word in words:
            assert word in result.err
        assert list(here.glob("*.json")) == []

    return run


@pytest.fixture
def plain_model(here) -> Path:
    """A model folder that no run lies around."""
    config = VQGANConfig(channels=8, channel_multipliers=(1, 1), code_dim=8, codebook_size=16)
    VQGAN(config).save_pretrained(here / "model")
    return here / "model"


@pytest.fixture
def run_of(here, world):
    """The tiny tokenizer's run with another config."""

    def make(config: str) -> Path:
        (here / "run" / "checkpoints").mkdir(parents=True)
        (here / "run" / "checkpoints" / "best").symlink_to(world.vqgan / "checkpoints" / "best")
        (here / "run" / "config.yaml").write_text(config, encoding="utf-8")
        return here / "run"

    return make


def figures(path: str) -> dict[str, float]:
    stored = json.loads(Path(path).read_text(encoding="utf-8"))
    return {name: figure["value"] for name, figure in stored["figures"].items()}


def test_says_what_it_measured_on_what_whatever_the_batches(succeed, here, world):
    command = ["evaluate", world.vqgan, "--data", world.photos]
    result = succeed(*command, "--out", "a.json")
    for words in (
        f"12 images of {world.photos}",
        "center, 16x16 pixels",
        "reconstruction FD (EfficientNet-Lite0 at 128x128)",
        "perceptual distance (EfficientNet-Lite0",
        "PSNR",
        "SSIM",
        "dead codes, of 16 codes",
        "note: the Frechet distance is of 12 images",
    ):
        assert words in result.out
    assert "favours it" not in result.out
    stored = json.loads(Path("a.json").read_text(encoding="utf-8"))
    assert stored["images"] == 12
    assert stored["data"] == [str(world.photos)]
    assert stored["model"].startswith(str(world.vqgan / "checkpoints"))
    assert stored["transform"] == {"size": 16, "resize_px": "crop", "small": "error"}
    assert all(figure["label"] in result.out for figure in stored["figures"].values())

    succeed(*command, "--batch-size", 5, "--out", "five.json")
    assert figures("five.json") == pytest.approx(figures("a.json"), rel=1e-4)


@pytest.fixture
def many(here) -> Path:
    """Twenty-four pictures, of which a run holds some out."""
    (here / "set" / "many").mkdir(parents=True)
    for number in range(24):
        picture = Image.new("RGB", (16, 16), (10 * number, 100, 50))
        picture.save(here / "set" / "many" / f"{number}.png")
    return Path("set", "many")


@pytest.fixture
def held_out(succeed, many, world) -> int:
    """How many images the run `run` holds out of `many`."""
    train = ["train", "vqgan", "--data", many, "--out", "run", *world.tiny, "--held_out", 0.3]
    found = re.search(r"(\d+) held out", succeed(*train).err)
    assert found is not None
    return int(found[1])


def test_measures_only_what_the_run_held_out(succeed, many, held_out):
    for data in (many, "set"):  # the side of an image does not depend on the root
        out = succeed("evaluate", "run", "--data", data, "--held-out", "--out", "a.json").out
        assert f"{held_out} images of {data}, only those that the run was not trained on" in out
        assert "training images" not in out
        assert json.loads(Path("a.json").read_text(encoding="utf-8"))["training_images"] == 0


def test_training_images_among_those_measured_are_counted(succeed, many, held_out):
    out = succeed("evaluate", "run", "--data", many, "--out", "a.json").out
    seen = 24 - held_out
    assert f"note: {seen} of these 24 images are training images of the model" in out
    assert "--held-out measures the others alone" in out
    assert json.loads(Path("a.json").read_text(encoding="utf-8"))["training_images"] == seen


def test_training_images_of_a_run_of_an_older_version_are_counted(succeed, many, held_out):
    """It did not write them down; its own data is known."""
    (Path("run") / FILE).unlink()
    out = succeed("evaluate", "run", "--data", many).out
    count = re.search(r"note: (\d+) of these 24 images are training images", out)
    assert count is not None
    others = 24 - int(count[1])
    assert f"{others} images of" in succeed("evaluate", "run", "--data", many, "--held-out").out
    assert "training images" not in succeed("evaluate", "run", "--data", "set").out


def test_all_images_may_be_training_images(succeed, world):
    out = succeed("evaluate", world.vqgan, "--data", world.photos / "cat", "--images", 3).out
    assert "note: 3 of these 3 images are training images of the model" in out
    assert "--held-out" not in out


def test_some_images_for_a_plain_model_at_the_size_that_is_given(succeed, plain_model, world):
    options = ["--data", world.photos / "cat", "--images", 4, "--size", "16x20"]
    out = succeed("evaluate", plain_model, *options).out
    assert f"4 images of {world.photos / 'cat'}" in out
    assert "center, 16x20 pixels" in out


def test_says_when_the_judge_was_the_teacher(succeed, run_of, world):
    config = (world.vqgan / "config.yaml").read_text(encoding="utf-8")
    run = run_of(config.replace("kind: none", "kind: efficientnet-logits"))
    assert "favours it" in succeed("evaluate", run, "--data", world.photos / "cat").out


def test_wrong_input_is_one_line(refused, plain_model, world):
    data = ["--data", world.photos]
    refused(["nowhere", *data], "nowhere does not exist")
    refused([world.vqgan], "--data")
    refused([world.vqgan, "--data", "none"], "'none' does not exist")
    refused([world.vqgan, *data, "--size", 64], "20x24", "64x64")
    refused([world.vqgan, *data, "--size", 15], "15x15", "multiples of 2")
    refused([world.vqgan, *data, "--size", "16x20x16"], "--size", "like 256 or 360x480")
    refused([world.vqgan, *data, "--size", "16x"], "--size", "16x")
    refused([world.vqgan, *data, "--size", 8], "at least 16x16", "8x8")
    refused([world.vqgan, *data, "--images", 1], "at least 2 images, got 1")
    refused([world.vqgan, *data, "--images", 0], "--images", "at least 1")
    refused([world.vqgan, *data, "--batch-size", 0], "--batch-size", "at least 1")
    refused([world.vqgan, *data, "--held-out"], "holds nothing out", "--held-out")
    refused([world.vqgan, *data, "--device", "nodevice"], "'nodevice'")
    refused([world.vqgan, *data, "--out", "a.txt"], "a.txt must end in .json")
    refused([plain_model, *data], "no run", "--size")
    refused([plain_model, *data, "--size", 16, "--held-out"], "not known which")


def test_damaged_config_of_a_run_is_one_line(refused, run_of, world):
    run = run_of("stage: vqgan\nseed: 0\n")
    refused([run, "--data", world.photos], "config.yaml", "data")

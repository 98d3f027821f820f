"""`smalti train prior --codes DIR`: a prior of codes that were made before."""

import json
import shutil
from pathlib import Path

import pytest
import yaml


@pytest.fixture(scope="module")
def codes(succeed, world, tmp_path_factory) -> Path:
    """Codes of the photographs with their classes, each also mirrored, in three shards."""
    folder = tmp_path_factory.mktemp("encoded") / "codes"
    command = ["encode", world.vqgan, "--data", world.photos, "--classes", "--flip"]
    said = succeed(*command, "--shard-images", 4, "--out", folder).out
    assert f"next: smalti train prior --codes {folder} --vqgan {world.vqgan}" in said
    return folder


@pytest.fixture
def command(world, codes) -> list:
    tiny = [option for option in world.tiny_prior if not option.startswith("--codes")]
    return ["train", "prior", "--codes", codes, "--vqgan", world.vqgan, "--out", "run", *tiny]


def metrics() -> list[dict]:
    """Numbers of the run, without times."""
    lines = Path("run/metrics.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return [{k: v for k, v in one.items() if "second" not in k} for one in found]


def test_a_prior_is_trained_on_codes_alone_and_goes_on(succeed, here, command, codes):
    said = succeed(*command, "--condition", "class").err
    assert f"12 images in 3 shards of {codes}, 2 views of each; 12 training images" in said
    config = yaml.safe_load(Path("run/config.yaml").read_text(encoding="utf-8"))
    assert (config["image"]["size"], config["codes"]["views"], config["data"]) == (16, 2, [])
    succeed("sample", "run", "-n", 1, "--condition", "class=cat", "--out", "samples")
    shutil.copytree(codes, "moved")
    succeed("resume", "run", "--training.total-steps", 5, "--codes", "moved")
    longer = [line for line in metrics() if line["group"] == "eval"]
    shutil.rmtree("run")
    succeed(*command, "--condition", "class", "--training.total-steps", 5)
    assert longer[-1] == next(line for line in reversed(metrics()) if line["group"] == "eval")


def test_a_dry_run_needs_no_images(succeed, here, command):
    assert "12 training images" in succeed(*command, "--dry-run").out
    assert "data: []" in succeed(*command, "--print-config").out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--data x", ["--data does not go with --codes"]),
        ("--codes.views 3", ["codes.views is 3", "2 views; leave it out"]),
        ("--image.size 32", ["image.size is 32x32", "codes of 16x16; leave it out"]),
        ("--codes nothing", ["nothing holds no codes of smalti encode"]),
        (
            "--condition low_resolution",
            ["the condition low_resolution does not come with", "class"],
        ),
    ],
)
def test_what_does_not_fit_the_codes_is_refused(refused, command, options, words):
    refused([*command, *options.split()], *words)


def test_unfinished_codes_are_refused(refused, here, command, codes):
    shutil.copytree(codes, "codes")
    Path("codes/manifest.json").unlink()
    refused([*command, "--codes", "codes"], "codes is not finished", "smalti encode --join")


def test_codes_of_another_tokenizer_are_refused(refused, succeed, here, command, world):
    succeed("train", "vqgan", "--data", world.photos, "--out", "other", *world.tiny, "--seed", 1)
    refused([*command, "--vqgan", "other"], "holds codes of another tokenizer than other")


def test_formats_for_others_are_refused(refused, succeed, here, command, world):
    succeed("encode", world.vqgan, "--data", world.photos, "--format", "tar", "--out", "tars")
    refused([*command, "--codes", "tars"], "tars holds tar", "--format safetensors")

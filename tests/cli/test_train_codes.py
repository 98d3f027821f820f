"""`smalti train prior --codes DIR`: a prior of codes that were made before."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file, save_file

from helpers.processes import run_as_two
from smalti.codes.order import Row
from smalti.codes.read import CodeShards
from smalti.sampling.pipeline import Pipeline

SMALL_SHARDS = """
import sys
from smalti.cli.main import main
from smalti.tokenizer import base
from smalti.training.prior import code_cache
base.ENCODED_PIXELS, code_cache.LEAST_IMAGES = 2 * 16 * 16, 4
sys.exit(main(sys.argv[1:]))
"""


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
            ["has no column of the condition low_resolution (it has class)", "encode with"],
        ),
    ],
)
def test_what_does_not_fit_the_codes_is_refused(refused, command, options, words):
    refused([*command, *options.split()], *words)


@pytest.fixture
def photos(world, here) -> Path:
    """Twenty-four photographs, enough to hold some out."""
    for path in sorted(Path(world.photos).rglob("*.png")):
        for copy in ("one", "two"):
            target = Path("photos") / path.parent.name / f"{copy}-{path.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    return Path("photos")


def test_images_that_codes_held_out_are_measured(succeed, refused, world, photos):
    succeed("encode", world.vqgan, "--data", photos, "--shard-images", 8, "--out", "codes")
    tiny = [option for option in world.tiny_prior if not option.startswith("--codes")]
    trained = ["train", "prior", "--codes", "codes", "--vqgan", world.vqgan, "--out", "run", *tiny]
    succeed(*trained, "--held-out", 0.5)
    asked = ["evaluate", "run", "--data", photos, "-n", 10, "--few", "--held-out"]
    said = succeed(*asked, "--out", "evaluation.json")
    assert "12 images, crops of 16x16" in said.out
    protocol = json.loads(Path("evaluation.json").read_text(encoding="utf-8"))["protocol"]
    assert protocol["data"]["count"] == 12
    assert "leaves out no image" not in said.out
    shutil.copytree(photos, "renamed/photos")
    renamed = succeed(*asked[:3], "renamed", *asked[4:], "--out", "evaluation.json").out
    assert "24 images, crops" in renamed
    assert "note: --held-out leaves out no image" in renamed
    rows = [Row(shard, number) for shard in range(3) for number in range(4, 8)]
    shards = CodeShards(Path("codes"))
    for row in rows:
        (photos / shards.key(row)).unlink()
    refused(asked, "holds nothing out of this data")
    shutil.move("codes", "elsewhere")
    refused(asked, "which images run was trained on is known from its codes in codes", "holds no")
    succeed("encode", world.vqgan, "--data", photos, "--out", "codes")
    refused(asked, "run was trained on other codes than those that are in codes now")


@pytest.fixture(scope="module")
def conditions(succeed, world, tmp_path_factory) -> Path:
    """Codes with two conditions as columns."""
    folder = tmp_path_factory.mktemp("conditions") / "codes"
    command = ["encode", world.vqgan, "--data", world.photos, "--out", folder, "--flip"]
    command += ["--crops", 2, "--low-resolution-factor", 2]
    said = succeed(*command, "--condition", "low_resolution", "coordinates").out
    assert said.endswith(" --condition low_resolution --condition coordinates\n")
    return folder


TOLD = ["--condition", "low_resolution", "--condition", "coordinates"]


def test_a_prior_is_told_conditions_of_columns(
    succeed, refused, here, command, conditions, codes, world
):
    told = [*command, "--codes", conditions, *TOLD, "--low-resolution-factor", 2]
    succeed(*told)
    succeed("resume", "run", "--training.total-steps", 4)
    assert Pipeline.from_pretrained("run").config.condition_kinds == (
        "low_resolution",
        "coordinates",
    )
    training = [option for option in world.tiny_prior if option.startswith("--training")]
    begun = ["train", "prior", "--init", "run", "--image.size", 16, "--out", "next", *training]
    succeed(*begun, "--codes", conditions)
    refused([*begun, "--codes", codes, "--out", "other"], "has no column of the condition low_res")


def test_columns_that_are_otherwise_are_refused(refused, here, command, conditions, world):
    told = [*command, "--codes", conditions]
    refused(
        [*told, *TOLD], "low-resolution-factor is 8, but", "with 2; add --low-resolution-factor 2"
    )
    refused([*told, "--condition", "class"], "condition is class, but", "has no classes")
    refused(
        [*told, "--condition", "keypoints"], "(it has low_resolution, coordinates); encode with"
    )
    other = Path(shutil.copytree(world.vqgan, "other"))
    weights = next((other / "checkpoints").glob("best/*.safetensors"))
    tensors = load_file(weights)
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, weights)
    named = ["--condition", f"low_resolution={other}", "--low-resolution-factor", 2]
    refused([*told, *named], "has the condition low_resolution by another tokenizer")


def test_unfinished_codes_are_refused(refused, here, command, codes):
    shutil.copytree(codes, "codes")
    Path("codes/manifest.json").unlink()
    refused([*command, "--codes", "codes"], "codes is not finished", "smalti encode --join")


def test_codes_of_another_tokenizer_are_refused(refused, succeed, here, command, world):
    succeed("train", "vqgan", "--data", world.photos, "--out", "other", *world.tiny, "--seed", 1)
    refused([*command, "--vqgan", "other"], "holds codes of another tokenizer than other")


def test_formats_for_others_are_refused(refused, succeed, here, command, world):
    succeed("encode", world.vqgan, "--data", world.photos, "--format", "tar", "--out", "tars")
    refused([*command, "--codes", "tars"], "tars holds tar", "smalti encode --codes tars --out NEW")


@pytest.mark.slow
def test_two_processes_encode_what_one_encodes(here, world):
    """Of the three shards of a run, each process makes one or two."""
    photos, vqgan = str(world.photos), str(world.vqgan)
    command = ["train", "prior", "--data", photos, "--vqgan", vqgan, "--condition", "coordinates"]
    command += [*map(str, world.tiny_prior), "--training.batch-size", "4", "--held-out", "0"]
    alone = [sys.executable, "-c", SMALL_SHARDS, *command, "--out", "one"]
    subprocess.run(alone, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    ended = run_as_two(["-c", SMALL_SHARDS, *command, "--out", "two"])
    assert [process.code for process in ended] == [0, 0], ended
    one, two = (sorted(Path(run, "codes").iterdir()) for run in ("one", "two"))
    assert [path.name for path in one] == [path.name for path in two]
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    assert len(one) == 3 * 2 + 2


def test_a_prior_is_trained_on_the_codes_of_another_run(succeed, here, world, command):
    """They are of the same format."""
    first = ["train", "prior", "--data", world.photos, "--vqgan", world.vqgan, "--out", "first"]
    succeed(*first, *world.tiny_prior)
    said = succeed(*command, "--codes", "first/codes").err
    assert "12 images in 1 shard of first/codes" in said

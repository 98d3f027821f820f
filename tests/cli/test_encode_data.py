"""`smalti encode MODEL --data SRC`: shards, shares of the work, and what is refused."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.processes import run_as_two


def codes_in(folder: Path) -> dict[str, bytes]:
    """Content of the shards by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}


def images_in(folder: Path) -> int:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["images"]


def test_shares_that_do_not_know_each_other_make_what_one_makes(succeed, refused, here, world):
    command = ["encode", world.vqgan, "--data", world.photos, "--shard-images", 4]
    succeed(*command, "--out", "whole")
    said = succeed(*command, "--out", "shared", "--shard", "2/2").out
    assert "share 2/2; 2 shards not there yet" in said
    assert "smalti encode --join --out shared" in said
    refused(["encode", "--join", "--out", "shared"], "lacks 2 shards of 3", "shard-00000")
    succeed(*command, "--out", "shared", "--shard", "1/2")
    assert codes_in(Path("shared")) == codes_in(Path("whole"))
    assert images_in(Path("shared")) == 12
    Path("shared/manifest.json").unlink()
    assert "codes of 12 images in 3 shards" in succeed("encode", "--join", "--out", "shared").out


@pytest.mark.slow
def test_two_processes_make_what_one_makes(succeed, here, world):
    command = ["encode", str(world.vqgan), "--data", str(world.photos), "--shard-images", "4"]
    succeed(*command, "--out", "one")
    ended = run_as_two(["-m", "smalti", *command, "--out", "two"])
    assert [process.code for process in ended] == [0, 0], ended
    assert codes_in(Path("one")) == codes_in(Path("two"))
    assert images_in(Path("two")) == 12


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--shard 5/4", ["--shard is 5/4", "1/4 to 4/4"]),
        ("--shard 0/4", ["--shard is 0/4", "1/4 to 4/4"]),
        ("--shard half", ["--shard must be like 3/64", "'half'"]),
        ("--size 15", ["--size 15x15", "multiples of 2"]),
        ("--crops 0", ["--crops", "at least 1"]),
        ("--join", ["is no option with --join", "--join --out"]),
        ("--format csv", ["--format", "safetensors, parquet or tar", "'csv'"]),
    ],
)
def test_wrong_options_of_data_are_refused(refused, world, options, words):
    command = ["encode", world.vqgan, "--data", world.photos, "--out", "codes"]
    refused([*command, *options.split()], *words)


def test_options_of_data_need_data(refused, world):
    refused(["encode", world.vqgan, world.picture, "--flip"], "--flip is no option for pictures")
    refused(["encode", world.vqgan], "needs pictures, or --data")
    refused(["encode"], "needs model")
    refused(["encode", "--join", "--out", "none"], "none holds no codes")


def test_codes_of_another_encoding_are_refused(succeed, refused, here, world):
    command = ["encode", world.vqgan, "--data", world.photos, "--out", "codes"]
    succeed(*command)
    refused([*command, "--flip"], "codes holds codes with other views; choose a new folder")


@pytest.mark.slow
def test_kills_at_random_moments_lose_and_double_nothing(succeed, here, world):
    command = ["encode", str(world.vqgan), "--data", str(world.photos), "--shard-images", "1"]
    succeed(*command, "--out", "whole")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "smalti", *command, "--out", "trial"], env=environment, check=True
    )
    seconds = time.monotonic() - started
    chance = random.Random(0)
    for _ in range(10):
        process = subprocess.Popen(
            [sys.executable, "-m", "smalti", *command, "--out", "killed"], env=environment
        )
        time.sleep(seconds * chance.uniform(0.5, 1.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
    succeed(*command, "--out", "killed")
    assert codes_in(Path("killed")) == codes_in(Path("whole"))
    assert images_in(Path("killed")) == 12

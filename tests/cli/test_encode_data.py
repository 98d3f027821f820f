"""`smalti encode MODEL --data SRC`: shards, shares of the work, and what is refused."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from helpers.processes import run_as_two
from smalti.cli.shard_progress import speed


def codes_in(folder: Path) -> dict[str, bytes]:
    """Content of the shards by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("shard-*.safetensors"))}


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


def test_a_folder_of_codes_is_inspected(succeed, refused, here, world):
    """It is no data set: what it holds, and what to do with it, follows from the manifest."""
    command = ["encode", world.vqgan, "--data", world.photos, "--classes", "--flip"]
    succeed(*command, "--out", "codes")
    said = succeed("inspect", "codes").out
    for words in ("12 in 1 shard of safetensors", "8x8 codes", "2 of each image", "classes:"):
        assert words in said
    assert "next: smalti train prior --codes codes --vqgan MODEL" in said
    succeed("encode", "--codes", "codes", "--format", "tar", "--out", "tars")
    assert "next: smalti encode --codes tars --out NEW" in succeed("inspect", "tars").out
    Path("codes/manifest.json").unlink()
    refused(["inspect", "codes"], "codes is not finished", "smalti encode --join --out codes")


def test_shards_are_no_file_of_codes(succeed, refused, here, world):
    succeed("encode", world.vqgan, "--data", world.photos, "--out", "codes")
    refused(["decode", world.vqgan, "codes"], "codes is a folder; give a file")
    shard = "codes/shard-00000.safetensors"
    refused(["decode", world.vqgan, shard], f"{shard} is a shard", "smalti.ShardCodes reads")


@pytest.mark.parametrize(
    ("images", "seconds", "words"),
    [(500, 20.0, "25.0 a second"), (2, 2.0, "1.0 a second"), (2, 125.0, "62.5 seconds each")],
)
def test_speed_in_words(images, seconds, words):
    assert speed(images, seconds) == words


def test_options_of_data_need_data(refused, world):
    refused(["encode", world.vqgan, world.picture, "--flip"], "--flip is no option for pictures")
    refused(["encode", world.vqgan], "needs pictures, or --data")
    refused(["encode"], "needs model")
    refused(["encode", "--join", "--out", "none"], "none holds no codes")


def test_codes_of_another_encoding_are_refused(succeed, refused, here, world):
    command = ["encode", world.vqgan, "--data", world.photos, "--out", "codes"]
    succeed(*command)
    refused([*command, "--flip"], "codes holds codes with other views; choose a new folder")


def test_shards_that_were_exchanged_are_not_joined(succeed, refused, here, world):
    command = ["encode", world.vqgan, "--data", world.photos, "--shard-images", 4]
    succeed(*command, "--out", "codes")
    shards = [Path(f"codes/shard-{number:05}.safetensors") for number in range(2)]
    assert shards[0].stat().st_size == shards[1].stat().st_size
    content = shards[0].read_bytes()
    shards[0].write_bytes(shards[1].read_bytes())
    join = ["encode", "--join", "--out", "codes"]
    refused(join, "1 shard of 3 with another hash", "shard-00000.safetensors; delete")
    shards[0].unlink()
    succeed(*command, "--out", "codes")
    assert shards[0].read_bytes() == content
    assert "checking the hashes of 3 shards" in succeed(*join).out


def test_a_manifest_of_another_version_is_not_replaced(succeed, refused, here, world):
    command = ["encode", world.vqgan, "--data", world.photos, "--out", "codes"]
    succeed(*command)
    manifest = Path("codes/manifest.json")
    content = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps(content | {"version": 2}), encoding="utf-8")
    line = "manifest.json is of version 2; this smalti reads version 1"
    refused(command, line)
    refused(["encode", "--join", "--out", "codes"], line)


@pytest.mark.slow
def test_kills_at_random_moments_lose_and_double_nothing(succeed, here, world):
    for number in range(60):
        picture = Image.new("RGB", (16, 16), (4 * number, 100, 255 - 4 * number))
        Path("photos").mkdir(exist_ok=True)
        picture.save(f"photos/{number:02}.png")
    command = ["encode", str(world.vqgan), "--data", "photos", "--shard-images", "1"]
    succeed(*command, "--out", "whole")
    chance, killed = random.Random(0), Path("killed")
    for _ in range(10):
        wanted = len(list(killed.glob("*.json"))) + chance.randint(1, 4)
        process = subprocess.Popen([sys.executable, "-m", "smalti", *command, "--out", killed])
        while len(list(killed.glob("*.json"))) < wanted:
            assert process.poll() is None
        time.sleep(0.01 * chance.random())
        process.kill()
        process.wait()
    finished = len(list(killed.glob("shard-*.json")))
    assert 10 <= finished < 60
    assert f"finished before: {finished} shards" in succeed(*command, "--out", killed).out
    assert codes_in(killed) == codes_in(Path("whole"))
    assert images_in(killed) == 60


def test_codes_are_written_anew_in_another_format(succeed, refused, here, world):
    command = ["encode", world.vqgan, "--data", world.photos, "--shard-images", 4, "--classes"]
    succeed(*command, "--flip", "--format", "parquet", "--out", "table")
    asked = ["train", "prior", "--codes", "table", "--vqgan", world.vqgan]
    refused(asked, "table holds parquet", "smalti encode --codes table --out NEW")
    said = succeed("encode", "--codes", "table", "--out", "again", "--shard", "2/2").out
    assert "12 images in 3 shards of table, from parquet to safetensors" in said
    assert "smalti encode --join --out again" in said
    said = succeed("encode", "--codes", "table", "--out", "again").out
    assert "finished before: 1 shard" in said
    assert "next: smalti train prior --codes again --vqgan MODEL" in said
    succeed(*command, "--flip", "--out", "codes")
    assert codes_in(Path("again")) == codes_in(Path("codes"))
    assert (Path("again") / "manifest.json").read_bytes() == (
        Path("codes") / "manifest.json"
    ).read_bytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--codes codes", ["codes is the folder of --out, too"]),
        ("--codes codes --out new", ["codes holds safetensors already", "--format"]),
        ("--codes none --out new --format tar", ["none holds no codes of smalti encode"]),
        ("--codes codes --out new --format tar --flip", ["--flip is no option with --codes"]),
        ("model --codes codes --out new --format tar", ["--codes needs no MODEL"]),
    ],
)
def test_what_cannot_be_written_anew_is_refused(succeed, refused, here, world, options, words):
    succeed("encode", world.vqgan, "--data", world.photos, "--out", "codes")
    refused(["encode", *options.split()], *words)


def test_a_damaged_shard_is_not_written_anew(succeed, refused, here, world):
    command = ["encode", world.vqgan, "--data", world.photos, "--shard-images", 6]
    succeed(*command, "--out", "codes")
    shard = Path("codes/shard-00000.safetensors")
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    asked = ["encode", "--codes", "codes", "--out", "new", "--format", "tar"]
    succeed(*asked, "--shard", "2/2")
    refused(asked, "shard-00000.safetensors is damaged")

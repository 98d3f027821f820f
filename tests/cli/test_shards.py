"""Shards by Ray Data: refusals, what is left to do, and an actor that is killed."""

import json
import pickle
import sys
import tarfile
from pathlib import Path

import pytest
from PIL import Image

import smalti.cli.shards
from helpers.ray_actors import run_and_kill_one


@pytest.fixture
def commands(world):
    """A command that encodes twelve pictures into shards, and one that draws seven images."""
    encode = ["encode", world.vqgan, "--data", world.photos, "--shard-images", 4]
    sample = ["sample", world.classes, "-n", 7, "--shard-images", 3, "--batch-size", 2]
    return {"encode": encode, "sample": sample}


@pytest.fixture
def ray_made(monkeypatch):
    """Numbers of the shards that Ray was asked for; instead of its actors, this process makes them.

    What an actor would load is sent through pickle, as on its way to an actor.
    """
    numbers = []

    def make_here(begin, shards, actors, use_cards, on_made):
        numbers.extend(shards)
        make = pickle.loads(pickle.dumps(begin))()
        return sum(make(number) for number in shards)

    monkeypatch.setattr("smalti.ray_pool.check_ray", lambda: None)
    monkeypatch.setattr(smalti.cli.shards, "make_with_actors", make_here)
    return numbers


def shards_in(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(folder).glob("shard-*.[!j]*"))}


def test_single_pictures_do_not_go_among_shards(succeed, refused, commands, here, world):
    """A folder with pictures is a data set of these, and its tars would no longer be read."""
    succeed(*commands["sample"], "--out", "drawn")
    refused(["sample", world.classes, "-n", 1, "--out", "drawn"], "drawn holds samples in shards")


@pytest.mark.parametrize("command", ["encode", "sample"])
def test_without_ray_a_line_says_what_to_install(refused, commands, monkeypatch, command):
    monkeypatch.setitem(sys.modules, "ray", None)
    line = "--engine ray needs Ray: pip install 'smalti[ray]'"
    refused([*commands[command], "--engine", "ray", "--out", "x"], line)


@pytest.mark.parametrize("command", ["encode", "sample"])
def test_actors_are_refused_without_ray(refused, commands, command):
    line = "--actors has an effect with --engine ray only"
    refused([*commands[command], "--actors", 2, "--out", "x"], line)


def test_ray_is_refused_in_several_processes(refused, commands, ray_made, monkeypatch):
    monkeypatch.setattr(smalti.cli.shards, "world_size", lambda: 2)
    refused([*commands["encode"], "--engine", "ray", "--out", "x"], "without torchrun or srun")


@pytest.mark.parametrize("command", ["encode", "sample"])
def test_ray_makes_what_is_left(succeed, commands, ray_made, here, command):
    words = commands[command]
    succeed(*words, "--out", "plain")
    succeed(*words, "--out", "mixed", "--shard", "2/3")
    said = succeed(*words, "--out", "mixed", "--engine", "ray").out
    assert ray_made == [0, 2]
    assert "finished before: 1 shard" in said
    assert shards_in("mixed") == shards_in("plain")
    assert len(shards_in("plain")) == 3
    succeed(*words, "--out", "mixed", "--engine", "ray")
    assert ray_made == [0, 2]


def test_ray_makes_a_share(succeed, commands, ray_made, here):
    said = succeed(*commands["encode"], "--engine", "ray", "--shard", "3/3", "--out", "x").out
    assert ray_made == [2]
    assert "smalti encode --join --out x" in said


@pytest.mark.slow
def test_no_image_is_lost_or_doubled_when_an_actor_is_killed(succeed, here, world):
    for number in range(300):
        Path("photos").mkdir(exist_ok=True)
        colour = (number % 256, number // 2, 255 - number // 2)
        Image.new("RGB", (16, 16), colour).save(f"photos/{number:03}.png")
    command = ["encode", str(world.vqgan), "--data", "photos", "--shard-images", "1"]
    succeed(*command, "--out", "plain")
    finished, said = run_and_kill_one([*command, "--out", "ray"], Path("ray"), 10)
    assert finished < 300
    assert "encoded: 300 images" in said
    assert shards_in("ray") == shards_in("plain")
    assert json.loads(Path("ray/manifest.json").read_text(encoding="utf-8"))["images"] == 300


@pytest.mark.slow
def test_no_sample_is_lost_or_doubled_when_an_actor_is_killed(succeed, here, world):
    command = ["sample", str(world.classes), "-n", "100", "--shard-images", "1"]
    succeed(*command, "--out", "plain")
    finished, said = run_and_kill_one([*command, "--out", "ray"], Path("ray"), 5)
    assert finished < 100
    assert "drawn: 100 images" in said
    assert shards_in("ray") == shards_in("plain")
    names = []
    for path in sorted(Path("ray").glob("*.tar")):
        with tarfile.open(path) as tar:
            names += [name for name in tar.getnames() if name.endswith(".png")]
    assert names == [f"{number:09d}.png" for number in range(100)]

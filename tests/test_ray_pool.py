"""What passes between the command and an actor, without Ray."""

import json
import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from smalti import ray_pool
from smalti.errors import InputError
from smalti.ray_pool import MOST_TRIES, WorkersLostError, _Actor, _Tries, make_with_actors


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The handle of a `_Tries` in this process."""
    counted = _Tries()
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get=lambda result: result))
    return SimpleNamespace(note=SimpleNamespace(remote=counted.note))


def row_of(made: dict[str, list]) -> dict[str, object]:
    return {name: value for name, (value,) in made.items()}


def batch(number: int) -> dict[str, np.ndarray]:
    return {"shard": np.array([number])}


def test_an_actor_loads_the_model_once(tries, tmp_path):
    loaded = []

    def begin():
        loaded.append(1)
        return lambda number: 10 * number

    actor = _Actor(begin, tries, str(tmp_path))
    rows = [row_of(actor(batch(number))) for number in (3, 4)]
    assert [row["images"] for row in rows] == [30, 40]
    assert loaded == [1]


def test_a_refusal_and_the_log_of_an_actor_reach_the_command(tries, tmp_path, caplog, monkeypatch):
    def make(number):
        logging.getLogger("smalti.data").warning("broken: %s", "a.png")
        raise InputError("the disk is full")

    row = row_of(_Actor(lambda: make, tries, str(tmp_path))(batch(0)))
    assert json.loads(row["log"]) == [[logging.WARNING, "broken: a.png"]]
    caplog.clear()
    with pytest.raises(InputError, match="the disk is full"):
        made_of([row], monkeypatch)
    warnings = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert warnings == ["broken: a.png"]


def made_of(rows: list[dict], monkeypatch: pytest.MonkeyPatch, actors: int = 1) -> list[int]:
    """Make shards of which the actors say these rows; returns what is told of the progress."""

    def said(*_arguments: object) -> Iterator[dict]:
        yield from rows

    told: list[int] = []
    monkeypatch.setattr(ray_pool, "check_ray", lambda: None)
    monkeypatch.setattr(ray_pool, "_running_ray", nullcontext)
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": actors})
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(ray_pool, "_made", said)
    shards = range(len(rows))
    images = make_with_actors(lambda: lambda _number: 0, shards, None, False, told.append)
    assert images == sum(told)
    return told


def test_a_shard_whose_actors_die_is_given_up(tries, tmp_path, monkeypatch):
    actor = _Actor(lambda: lambda _number: 1, tries, str(tmp_path))
    rows = [row_of(actor(batch(7))) for _ in range(MOST_TRIES + 1)]
    assert [row["images"] for row in rows] == [1] * MOST_TRIES + [0]
    with pytest.raises(WorkersLostError, match=f"made shard 7 died {MOST_TRIES} times"):
        made_of(rows[-1:], monkeypatch)


@pytest.mark.parametrize(("actors", "told"), [(1, [1, 2, 4]), (2, [3, 4]), (3, [7]), (5, [7])])
def test_the_first_shards_of_all_actors_are_told_together(monkeypatch, actors, told):
    row = {"shard": 0, "images": 1, "tries": 1, "refused": "", "log": "[]"}
    rows = [row | {"shard": number, "images": 2**number} for number in range(3)]
    assert made_of(rows, monkeypatch, actors) == told


def test_an_address_where_nothing_listens_is_refused_at_once():
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
        ray_pool._check_address(address)
    with pytest.raises(InputError, match=f"RAY_ADDRESS is {address}, where no Ray answers"):
        ray_pool._check_address(address)

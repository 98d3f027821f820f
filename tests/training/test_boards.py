"""Trackers of runs, on stand-ins for the packages: neither is needed, nothing is sent."""

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from smalti.config import InputError
from smalti.training.boards import check_track
from smalti.training.log import RunLog


class Package(types.ModuleType):
    """Notes what it is asked for."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.asked: dict[str, Any] = {}
        self.logged: list[tuple[dict[str, Any], int]] = []
        self.is_finished = False

    def init(self, **asked: Any) -> "Package":
        self.asked = asked
        return self

    def log(self, values: dict[str, Any], step: int) -> None:
        self.logged.append((values, step))

    def finish(self) -> None:
        self.is_finished = True

    def Image(self, picture: Image.Image) -> tuple[int, int]:
        return picture.size

    def Settings(self, **values: Any) -> dict[str, Any]:
        return values


@pytest.fixture(params=["trackio", "wandb"])
def package(request, monkeypatch) -> Package:
    for name in ("WANDB_MODE", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    made = Package(request.param)
    monkeypatch.setitem(sys.modules, request.param, made)
    return made


def tracked(folder: Path, package: Package) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text("stage: prior\n", encoding="utf-8")
    with RunLog(folder, 10, 0, 4, package.__name__) as log:
        log.scalars(3, "eval", {"nll": 2.5})
        log.picture(3, "samples", Image.new("L", (3, 2)))


def test_numbers_pictures_and_config_arrive(tmp_path, package):
    tracked(tmp_path / "run", package)
    assert package.logged == [({"eval/nll": 2.5}, 3), ({"samples": (3, 2)}, 3)]
    assert package.asked["config"] == {"stage": "prior"}
    assert package.asked["resume"] == "allow"
    assert package.is_finished


def test_runs_of_one_name_in_two_folders_are_two(tmp_path, package):
    names = []
    for parent in ("a", "b", "a"):
        (tmp_path / parent).mkdir(exist_ok=True)
        tracked(tmp_path / parent / "run", package)
        names.append(package.asked["name"])
    assert names[0] == names[2] != names[1]
    assert names[0].startswith("run-")


def test_nothing_is_public(tmp_path, package, monkeypatch):
    tracked(tmp_path / "run", package)
    if package.__name__ == "trackio":
        assert package.asked["private"]
        assert not {"space_id", "server_url"} & package.asked.keys()
        return
    assert package.asked["mode"] == "offline"
    assert package.asked["dir"] == str(tmp_path / "run")
    monkeypatch.setenv("WANDB_MODE", "online")
    tracked(tmp_path / "run", package)
    assert package.asked["mode"] == "online"


@pytest.mark.parametrize("name", ["TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"])
def test_trackio_that_would_send_runs_away_is_refused(monkeypatch, name):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object())
    monkeypatch.setenv(name, "somebody/space")
    with pytest.raises(InputError, match=name):
        check_track("trackio")
    check_track("wandb")


@pytest.mark.parametrize("track", ["trackio", "wandb"])
def test_a_tracker_that_is_not_installed_is_named(monkeypatch, track):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(InputError, match=f"pip install {track}"):
        check_track(track)
    check_track(None)


def test_a_tracker_that_fails_costs_a_warning(tmp_path, package, monkeypatch, caplog):
    def fail(*_args: object, **_options: object) -> None:
        raise OSError("no connection")

    monkeypatch.setattr(package, "log", fail)
    tracked(tmp_path / "run", package)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [f"{package.__name__} failed (no connection); going on without it"]

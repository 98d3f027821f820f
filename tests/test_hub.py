"""Which names mean the hub, and what happens where it is out of reach."""

import logging
import socket
import time
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError

from smalti import hub
from smalti.config import InputError
from smalti.data.sources import open_source
from smalti.model_folder import find_model

is_reachable = hub.is_reachable  # conftest replaces it in the module


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    hub.announce.cache_clear()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("owner/name", "owner/name"),
        ("hf://owner/name", "owner/name"),
        ("hf://runs/prior", "runs/prior"),
        ("hf://photos/train", "photos/train"),
        ("owner/name@v1", "owner/name@v1"),
        ("owner/name@refs/pr/1", "owner/name@refs/pr/1"),
        ("runs/prior", None),
        ("demo/vqgan", None),
        ("photos/train", None),
        ("./owner/name", None),
        ("../name", None),
        ("/owner/name", None),
        ("a/b/c", None),
        ("name", None),
        ("owner/", None),
    ],
)
def test_bare_name_means_the_hub_only_where_no_owner_lies_here(here, name, expected):
    (here / "photos").mkdir()
    assert hub.hub_name(name) == expected


def test_missing_run_is_not_asked_of_the_hub(monkeypatch):
    def ask(*_: object, **__: object) -> str:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(huggingface_hub, "HfApi", ask)
    with pytest.raises(InputError, match="runs/prior does not exist"):
        find_model("runs/prior")


def _fail(*_: object, **__: object) -> str:
    raise LocalEntryNotFoundError("not there")


@pytest.mark.parametrize(("name", "is_said"), [("owner/name", True), ("hf://owner/name", False)])
def test_bare_name_is_said_to_be_asked_of_the_hub(monkeypatch, caplog, name, is_said):
    caplog.set_level(logging.INFO, "smalti")
    monkeypatch.setattr(huggingface_hub, "HfApi", _fail)
    for _ in range(2):
        with pytest.raises(InputError, match="neither a folder here nor a model the hub gives"):
            find_model(name)
    words = "asking the Hugging Face hub for the model hf://owner/name"
    assert [record for record in caplog.messages if words in record] == caplog.messages
    assert len(caplog.messages) == is_said


def test_out_of_reach_only_what_was_downloaded_counts(monkeypatch, caplog):
    caplog.set_level(logging.INFO, "smalti")
    asked = []

    def download(repository: str, local_files_only: bool, **_: object) -> str:
        asked.append((repository, local_files_only))
        return _fail()

    monkeypatch.setattr(hub, "is_reachable", lambda: False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(InputError, match=r"owner/name is neither .*: it cannot be reached"):
        find_model("owner/name")
    assert (asked, caplog.messages) == ([("owner/name", True)], [])


def test_data_set_out_of_reach_is_an_error_at_once(monkeypatch, caplog):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    caplog.set_level(logging.INFO, "smalti")
    monkeypatch.setattr(hub, "is_reachable", lambda: False)
    with pytest.raises(InputError, match="owner/name is not a path here, and the hub cannot be"):
        open_source("owner/name", classes=False)
    with pytest.raises(InputError, match=r"^hf://owner/name: the hub cannot be reached"):
        open_source("hf://owner/name", classes=False)
    assert caplog.messages == []


def test_no_connection_is_no_reach(monkeypatch):
    monkeypatch.setattr("urllib.request.getproxies", dict)

    def refuse(*_: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(socket, "create_connection", refuse)
    assert not is_reachable()


def test_connection_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr(hub, "SECONDS", 0.05)

    def hang(*_: object) -> None:
        time.sleep(1)
        raise OSError("timed out")

    monkeypatch.setattr(socket, "create_connection", hang)
    started = time.monotonic()
    assert not is_reachable()
    assert time.monotonic() - started < 0.9


def test_offline_by_wish_opens_no_connection(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(socket, "create_connection", _fail)
    assert not is_reachable()

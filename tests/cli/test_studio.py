"""`smalti studio`: what it refuses before it serves anything."""

import socket
import subprocess
import sys

import pytest

from smalti.annotate.depth import DepthAnnotator
from smalti.annotate.keypoints import KeypointsAnnotator
from smalti.annotate.segmentation import SegmentationAnnotator


@pytest.fixture
def served(monkeypatch):
    """Arguments with which the server would have been started."""
    calls = []
    monkeypatch.setattr("smalti.cli.studio._serve", lambda app, listener: calls.append(app))
    return calls


def test_a_missing_extra_gives_the_command(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette", None)
    refused(["studio"], "needs more packages: pip install 'smalti[studio]'")


def test_another_host_needs_a_token_and_says_why(refused):
    refused(["studio", "--host", "0.0.0.0"], "lets other machines in", "--token")


@pytest.mark.parametrize("token", ["short", "with space and long", "ä" * 20, "a" * 15])
def test_a_weak_token_is_refused(refused, token):
    refused(["studio", "--token", token], "at least 16 letters and digits", str(len(token)))


def test_a_place_that_does_not_exist_is_refused(refused):
    refused(["studio", "runs/typo"], "runs/typo does not exist")


def test_a_port_in_use_is_refused(refused):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(["studio", "--port", port], f"port {port} (Address already in use); choose")
        # It is told before networks are downloaded.
        refused(["studio", "--port", port, "--annotate-depth", "typo"], "choose another --port")


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_no_port_is_refused(call, port):
    assert "--port must be" in call("studio", "--port", port).err


def test_a_host_of_another_machine_is_refused(refused):
    options = ["--host", "192.0.2.1", "--token", "a" * 16, "--port", "0"]
    refused(["studio", *options], "cannot listen on 192.0.2.1")


def test_the_address_is_printed_with_a_new_token_each_time(succeed, served, here):
    first, second = (succeed("studio", "--port", "0", "--device", "cpu").out for _ in range(2))
    assert "http://127.0.0.1:" in first
    tokens = [text.partition("?token=")[2].split()[0] for text in (first, second)]
    assert len(tokens[0]) >= 32
    assert tokens[0] != tokens[1]
    assert len(served) == 2
    assert "not encrypted" not in first


def test_for_others_it_says_what_that_means(succeed, served, here):
    token = "chosenByMe0123456"
    text = succeed("studio", "--host", "0.0.0.0", "--token", token, "--port", "0").out
    assert f"?token={token}" in text
    assert "anybody who reaches 0.0.0.0 and knows the token" in text
    assert "not encrypted" in text


def test_without_a_name_it_shows_the_folder_of_runs(succeed, served, here):
    succeed("studio", "--port", "0")
    assert [str(root) for root in served[0].state.library.roots] == ["runs"]


def test_what_is_named_is_shown(succeed, served, world):
    succeed("studio", world.vqgan, world.prior, "--port", "0")
    names = [entry.name for entry in served[0].state.library.entries()]
    assert names == ["prior", "vqgan"]


def test_its_help_does_not_wait_for_torch_or_the_server():
    code = (
        "import sys\nfrom smalti.cli import studio\nstudio.parser()\n"
        "assert not {'torch', 'starlette', 'uvicorn'} & sys.modules.keys()"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_network_for_maps_that_is_not_there_is_refused(refused, served):
    refused(["studio", "--port", "0", "--annotate-depth", "typo"], "typo does not exist")
    assert served == []


def test_a_detector_without_a_network_for_poses_is_refused(refused, served):
    refused(["studio", "--port", "0", "--annotate-detector", "boxes"], "--annotate-keypoints")
    assert served == []


def test_networks_for_photographs_are_loaded_by_their_kind(succeed, served, here, monkeypatch):
    loaded = []

    def load(kind, models, device):
        loaded.append((kind.kind, models))
        return kind.kind

    for kind in (DepthAnnotator, SegmentationAnnotator, KeypointsAnnotator):
        monkeypatch.setattr(kind, "load", classmethod(load))
    named = ["--annotate-depth", "d", "--annotate-keypoints", "k", "--annotate-detector", "boxes"]
    succeed("studio", "--port", "0", *named)
    models = {"depth": {"model": "d"}, "keypoints": {"model": "k", "detector": "boxes"}}
    assert dict(loaded) == models
    assert served[0].state.annotators == {kind: kind for kind in models}

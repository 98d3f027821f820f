"""Paths as people write them."""

from pathlib import Path

import pytest

from smalti.config import InputError
from smalti.paths import expand
from smalti.runs.config import PriorRunConfig, VQGANRunConfig


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("~", "{home}"),
        ("~/runs/a", "{home}/runs/a"),
        (Path("~/a"), "{home}/a"),
        ("~/{00..09}.tar", "{home}/{{00..09}}.tar"),
        ("runs/~a", "runs/~a"),
        ("./~/a", "./~/a"),
        ("owner/name", "owner/name"),
    ],
)
def test_home_folder_is_found_in_front_only(home, path, expected):
    assert expand(path) == expected.format(home=home)


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(InputError, match="is no path"):
        expand(path)


def test_home_folder_of_nobody_is_refused():
    with pytest.raises(
        InputError, match=r"no home folder ~no\.body; a file here is \./~no\.body/a"
    ):
        expand("~no.body/a")


def test_every_path_of_a_config_is_expanded(home):
    vqgan = VQGANRunConfig.model_validate(
        {
            "data": ["~/a", "b"],
            "out": "~/run",
            "init": "~/i",
            "loss": {"perceptual": {"vgg_weights": "~/vgg.pth"}},
        }
    )
    assert (vqgan.data, vqgan.out) == ((f"{home}/a", "b"), f"{home}/run")
    assert vqgan.init == f"{home}/i"
    assert vqgan.loss.perceptual.vgg_weights == home / "vgg.pth"
    prior = PriorRunConfig.model_validate(
        {
            "data": ["a"],
            "vqgan": "~/v",
            "condition": ["class", "depth=~/d"],
            "codes": {"folder": "~/codes"},
        }
    )
    assert (prior.vqgan, prior.codes.folder) == (f"{home}/v", f"{home}/codes")
    assert prior.condition == ("class", f"depth={home}/d")

"""`smalti presets`, `smalti env` and `smalti help`: what one looks up before a run."""

import json

import pytest
import torch

import smalti
from smalti.cli.presets import presets
from smalti.environment import environment
from smalti.runs.config import PixelsRunConfig
from smalti.runs.folder import open_run


def test_presets_are_all_listed(succeed):
    text = succeed("presets").out
    for path in presets():
        assert f"  {path.stem} " in text


def test_presets_with_a_word_say_what_they_are_and_need(succeed):
    text = " ".join(succeed("presets", "prior-segmentation-small").out.split())
    assert "prior-segmentation-small 98.03 M Images from label maps." in text
    assert (
        "segmentation; needs photographs and label maps, a run of vqgan-photos-small and a run of "
        "labels-small"
    ) in text
    assert "vqgan-demo" not in text
    assert "needs label maps" in succeed("presets", "labels-camvid").out


def test_presets_without_any(refused):
    refused(
        ["presets", "vqgan-dmo"], "no preset has the word 'vqgan-dmo'", "did you mean 'vqgan-demo'"
    )


def test_env_names_versions_and_formats(succeed):
    text = succeed("env").out
    assert f"smalti:          {smalti.__version__}\n" in text
    assert f"torch:           {torch.__version__}\n" in text
    for name in ("python", "processor", "threads", "number formats", "device", "memory", "disk"):
        assert f"\n{name}:" in text


def test_run_says_what_it_computed_with_and_where_that_changed(succeed, world, here, monkeypatch):
    line = ["train", "vqgan", "--data", world.photos, *world.tiny, "--out", "run"]
    succeed(*line)

    def noted():
        return json.loads((here / "run" / "env.json").read_text(encoding="utf-8"))

    assert noted() == [{"from_step": 0, **environment()}]
    succeed("resume", "run", "--training.total-steps", 4)
    assert len(noted()) == 1
    other = environment() | {"processor": "another"}
    monkeypatch.setattr("smalti.runs.folder.environment", lambda: other)
    succeed("resume", "run", "--training.total-steps", 5)
    assert noted()[1] == {"from_step": 4, **other}


@pytest.mark.parametrize("damage", ["{", "3", "[3]"])
def test_damaged_file_of_what_a_run_computed_with_is_written_anew(tmp_path, damage):
    config = PixelsRunConfig(data=("photos",), out=str(tmp_path))
    for _ in range(2):
        with open_run(tmp_path, config):
            noted = json.loads((tmp_path / "env.json").read_text(encoding="utf-8"))
            assert noted == [{"from_step": 0, **environment()}]
        (tmp_path / "env.json").write_text(damage, encoding="utf-8")


@pytest.mark.parametrize(
    ("topic", "command"),
    [
        ([], ["--help"]),
        (["sample"], ["sample", "--help"]),
        (["train"], ["train", "--help"]),
        (["train", "vqgan"], ["train", "vqgan", "--help"]),
        (["train", "vqgan", "image"], ["train", "vqgan", "--help", "image"]),
        (["resume"], ["resume", "--help"]),
    ],
)
def test_help_is_that_of_the_command(succeed, topic, command):
    assert succeed("help", *topic).out == succeed(*command).out


def test_help_of_an_unknown_command(refused):
    refused(["help", "trian"], "unknown command 'trian'", "did you mean 'train'")

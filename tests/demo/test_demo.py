"""The demonstration: photographs, the command, and the page that it leaves."""

import re
from pathlib import Path

import pytest
from PIL import Image

import smalti.cli.train_config
import smalti.demo.photographs
from smalti.cli.main import main
from smalti.demo.photographs import SHORTER_SIDE_PX, write_photographs
from smalti.model_folder import step_folders

TINY = {
    "training.total_steps": 2,
    "training.batch_size": 2,
    "training.eval_images": 2,
    "training.precision": "float32",
}
TINY_STAGE = {
    "vqgan": {"vqgan.channels": 8, "vqgan.code_dim": 8, "loss.perceptual.kind": "none"},
    "prior": {"codes.views": 2, "prior.layers": 1, "prior.width": 16},
}


@pytest.fixture
def tiny(monkeypatch):
    """The presets of the demonstration, with much smaller models, and two photographs."""
    read = smalti.cli.train_config.read_config

    def read_tiny(root, arguments):
        values = TINY | TINY_STAGE[root.model_fields["stage"].default]
        return read(root, [*arguments, *(f"--{name}={value}" for name, value in values.items())])

    monkeypatch.setattr(smalti.cli.train_config, "read_config", read_tiny)
    monkeypatch.setattr(smalti.demo.photographs, "NAMES", ("chelsea", "coffee"))


def test_page_shows_pictures_that_exist(tmp_path, tiny, capsys):
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--device", "cpu"]) == 0
    page = (out / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {"samples.png", "curves_vqgan.png", "curves_prior.png"} <= set(links)
    assert {"reconstruction_chelsea.png", "reconstruction_coffee.png"} <= set(links)
    for link in links:
        with Image.open(out / link) as picture:
            picture.verify()
    for words in ("PSNR", "perplexity", "2 photographs", "smalti train vqgan --data"):
        assert words in page
    said = capsys.readouterr()
    assert f"open {out / 'index.html'}" in said.out
    assert "Mean PSNR of these training images:" in page
    assert "held-out" not in (page + said.err).lower()


def test_demonstration_goes_on_where_it_stopped(tmp_path, tiny, capsys, monkeypatch):
    arguments = ["demo", "--out", str(tmp_path), "--device", "cpu"]
    assert main(arguments) == 0
    page = (tmp_path / "index.html").read_bytes()
    (tmp_path / "index.html").unlink()
    capsys.readouterr()
    assert main(arguments) == 0
    assert capsys.readouterr().err.count("resuming from step 2") == 2
    assert (tmp_path / "index.html").read_bytes() == page
    assert len(step_folders(tmp_path / "vqgan" / "checkpoints")) == 1


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--seed", "-1"], "at least 0, got -1"),
        (["--device", "nodevice"], "'nodevice'"),
        (["--sed", "1"], "--sed"),
    ],
)
def test_wrong_option_is_refused_before_anything_is_written(tmp_path, capsys, option, words):
    out = tmp_path / "demo"
    try:
        code = main(["demo", "--out", str(out), *option])
    except SystemExit as end:  # argparse ends by itself
        code = end.code
    error = capsys.readouterr().err
    assert code == 2
    assert words in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_photographs_are_colour_and_of_one_shorter_side(tmp_path):
    files = write_photographs(tmp_path / "photographs")
    assert [file.stem for file in files] == list(smalti.demo.photographs.NAMES)
    for file in files:
        with Image.open(file) as picture:
            assert (picture.mode, min(picture.size)) == ("RGB", SHORTER_SIDE_PX)


def test_photographs_that_are_there_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(smalti.demo.photographs, "NAMES", ("chelsea",))
    Path(tmp_path / "chelsea.png").write_text("mine", encoding="utf-8")
    assert write_photographs(tmp_path) == [tmp_path / "chelsea.png"]
    assert (tmp_path / "chelsea.png").read_text(encoding="utf-8") == "mine"

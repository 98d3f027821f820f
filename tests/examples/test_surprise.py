"""The example program for Python, on tiny models."""

import runpy
from pathlib import Path

import pytest
from PIL import Image

from helpers.studio import make_prior

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "surprise.py"


def test_pictures_are_listed_by_their_surprise(tmp_path, monkeypatch, capsys):
    make_prior(tmp_path / "prior")
    for number, colour in enumerate(("black", "teal", "orange")):
        Image.new("RGB", (12 + number, 9), colour).save(tmp_path / f"{number}.png")
    named = [str(tmp_path / f"{number}.png") for number in range(3)]
    monkeypatch.setattr("sys.argv", [str(PROGRAM), str(tmp_path / "prior"), *named])
    runpy.run_path(str(PROGRAM), run_name="__main__")
    told = capsys.readouterr()
    bits, names = zip(*(line.split() for line in told.out.splitlines()), strict=True)
    assert sorted(names) == named
    assert list(bits) == sorted(bits, key=float, reverse=True)
    assert told.err.count("3 of 3 pictures\n") == 2


def test_what_is_wrong_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", [str(PROGRAM), str(tmp_path / "nowhere"), "photo.png"])
    with pytest.raises(SystemExit, match="nowhere does not exist; give a model folder"):
        runpy.run_path(str(PROGRAM), run_name="__main__")

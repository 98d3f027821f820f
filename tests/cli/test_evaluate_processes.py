"""`smalti evaluate` of a prior by two processes."""

import json
from pathlib import Path

import pytest
from PIL import Image

from helpers.processes import run_as_two


def report(path: str) -> dict:
    return json.loads(Path(path).read_text(encoding="utf-8"))


@pytest.mark.slow
def test_two_processes_find_what_one_finds(succeed, here, world):
    """Figures, protocol, nearest training images and their page."""
    Path("other").mkdir()
    for number, photo in enumerate(sorted(world.photos.glob("*/*.png"))):
        with Image.open(photo) as picture:
            picture.rotate(180).save(f"other/turned{number}.png")
    command = ["evaluate", str(world.prior), "--data", "other", "-n", "11", "--few"]
    command += ["--memorisation", "--batch-size", "3"]
    succeed(*command, "--out", "one.json")
    ended = run_as_two(["-m", "smalti", *command, "--out", "two.json"])
    assert [process.code for process in ended] == [0, 0], ended
    one, two = report("one.json"), report("two.json")
    assert two["memorisation"] == pytest.approx(one["memorisation"], rel=1e-6)
    for name, figure in one["figures"].items():
        assert two["figures"][name]["value"] == pytest.approx(figure["value"], rel=1e-6)
    assert two["protocol"] == one["protocol"]
    pages = [
        sorted(path.name for path in Path(f"{name}_pairs").iterdir()) for name in ("one", "two")
    ]
    assert pages[0] == pages[1]
    assert {path.name for path in here.iterdir()} == {
        *("other", "one.json", "two.json", "one_pairs", "two_pairs")
    }

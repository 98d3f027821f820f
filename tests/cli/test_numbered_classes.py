"""Classes that are called 1 and 2: wherever one is asked for, the name counts."""

from pathlib import Path

import numpy as np
import pytest

from smalti.config import InputError
from smalti.sampling.pipeline import Pipeline


@pytest.fixture
def numbered(world, here) -> Path:
    """A prior of the classes 1 and 2."""
    folder = here / "numbered"
    Pipeline.from_pretrained(world.classes).save_pretrained(folder)
    path = folder / "config.json"
    text = path.read_text(encoding="utf-8")
    renamed = text.replace('"cat"', '"1"').replace('"person"', '"2"')
    assert renamed != text
    path.write_text(renamed, encoding="utf-8")
    return folder


@pytest.mark.parametrize("command", ["sample", "complete"])
@pytest.mark.parametrize("asked", ["0", "class=0", "01"])
def test_number_that_is_no_name_is_refused(refused, world, numbered, command, asked):
    photo = [world.picture, "--keep-top", "0.5"] if command == "complete" else []
    line = [command, numbered, *photo, "--condition", asked]
    refused(line, f"unknown class '{asked.removeprefix('class=')}'", "Known: 1, 2")


def test_names_that_are_numbers_are_asked_for(succeed, numbered):
    succeed("sample", numbered, "-n", "2", "--condition", "class=1", "class=2")
    assert len(list(Path("samples").glob("0*.png"))) == 2


def test_python_takes_names_before_numbers_too(numbered):
    pipeline = Pipeline.from_pretrained(numbered)
    request = pipeline.request(4, [1, "1", np.int64(2), "2"])
    assert request.values["class"].tolist() == [0, 0, 1, 1]
    for asked in (0, np.int64(0), 3, True, 1.0, [None], np.array([1, 2])):
        with pytest.raises(InputError, match="class"):
            pipeline.request(1, asked)

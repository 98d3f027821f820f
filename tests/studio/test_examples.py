"""Images of a run's data: how often they use a code, and where."""

import shutil

import pytest
import torch
from PIL import Image

from helpers.studio import TINY, make_run
from smalti.config import InputError
from smalti.studio import examples as module
from smalti.studio.codebook import Codebook
from smalti.studio.examples import Examples
from smalti.studio.library import Library
from smalti.studio.worker import Job
from smalti.tokenizer.vqgan import VQGAN


def examples_of(root, told=None):
    (entry,) = Library([root]).entries()
    codebook = Codebook(VQGAN(TINY).eval(), torch.device("cpu"))
    events = [] if told is None else told
    job = Job(lambda job: None, lambda event, data: events.append((event, data)))
    return Examples.of(entry, codebook, job)


def test_they_are_the_held_out_images_of_the_run(run, photos):
    told = []
    found = examples_of(run, told)
    assert found.scored == "held-out images"
    assert 0 < len(found.pictures) < 12
    assert told[-1] == ("progress", {"done": len(found.pictures), "of": len(found.pictures)})
    crops = {Image.open(path).crop((2, 0, 18, 16)).tobytes() for path in photos.iterdir()}
    assert {picture.tobytes() for picture in found.pictures} <= crops


def test_so_many_at_most(run, monkeypatch):
    monkeypatch.setattr(module, "MOST_IMAGES", 1)
    assert len(examples_of(run).pictures) == 1


def test_broken_images_are_left_out(tmp_path, photos):
    shutil.copytree(photos, tmp_path / "some")
    whole = len(examples_of(make_run(tmp_path / "a", tmp_path / "some", held_out=0.9)).pictures)
    for path in sorted((tmp_path / "some").iterdir())[:12]:
        path.write_bytes(b"broken")
    found = examples_of(make_run(tmp_path / "b", tmp_path / "some", held_out=0.9))
    assert whole - 12 <= len(found.pictures) < whole


def test_data_that_is_elsewhere_is_named(tmp_path, photos):
    run = make_run(tmp_path / "a", tmp_path / "gone")
    with pytest.raises(InputError, match=r"data of a cannot be read from here: .*gone"):
        examples_of(run)


def test_a_model_has_no_data(tmp_path):
    VQGAN(TINY).save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match="without the run"):
        examples_of(tmp_path / "model")


def grid() -> Examples:
    """Two pictures of 8x8 pixels with 4x4 codes; the pixel (x, y) of picture n is (x, y, n)."""
    pictures = []
    for number in range(2):
        picture = Image.new("RGB", (8, 8))
        picture.putdata([(x, y, number) for y in range(8) for x in range(8)])
        pictures.append(picture)
    codes = torch.zeros(2, 4, 4, dtype=torch.int64)
    codes[0, 0, 0] = codes[0, 1, 2] = codes[1, 3, 3] = 7
    return Examples("held-out images", pictures, codes, factor=2)


def test_uses_are_counted():
    assert grid().counts(9) == [29, 0, 0, 0, 0, 0, 0, 3, 0]


def test_patches_show_the_code_in_their_middle_from_as_many_images_as_there_are():
    found = grid().patches(7)
    corners = [patch.getpixel((0, 0)) for patch in found]
    # At a border the patch is moved inwards.
    assert corners == [(0, 0, 0), (2, 2, 1), (2, 0, 0)]
    assert {patch.size for patch in found} == {(6, 6)}


def test_a_code_without_places_has_no_patches():
    assert grid().patches(5) == []


def test_so_many_patches_at_most():
    assert len(grid().patches(0)) == module.MOST_PATCHES

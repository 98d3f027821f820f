"""What `encode` and `reconstruct` take, and what codes are called."""

import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

from smalti.codes.pictures import find_pictures
from smalti.ranges import from_pil
from smalti.tokenizer.vqgan import VQGAN


@pytest.fixture
def photos(here) -> Path:
    """Pictures of the same names in two classes."""
    for name in ("cats/1.png", "cats/2.png", "dogs/1.png"):
        path = here / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    return Path("photos")


def names(*specs: object) -> list[str]:
    return sorted(picture.name for picture in find_pictures([str(s) for s in specs], "images"))


ALL = ["cats/1.png", "cats/2.png", "dogs/1.png"]


@pytest.mark.parametrize(
    ("specs", "expected"),
    [
        (["photos"], ALL),
        (["photos/"], ALL),
        (["./photos"], ALL),
        (["photos/cats", "photos/dogs"], ALL),
        (["photos/dogs", "photos/cats/2.png", "photos/cats"], ALL),
        (["photos", "photos/cats/1.png"], ALL),
        (["./photos/cats/1.png", "photos/dogs/../cats/1.png", "photos"], ALL),
        (["photos/cats"], ["1.png", "2.png"]),
        (["photos/cats/1.png"], ["1.png"]),
        (["photos/cats/1.png", "photos/dogs/1.png"], ["cats/1.png", "dogs/1.png"]),
    ],
)
def test_names_are_paths_below_what_all_have_in_common(photos, specs, expected):
    assert names(*specs) == expected


def test_names_do_not_change_with_more_pictures(photos):
    before = names(photos)
    shutil.copytree("photos/cats", "photos/birds")
    assert set(before) < set(names(photos))


def test_lists_and_tars_are_taken(photos, here):
    listed = f"photos/cats/1.png\n{here.resolve()}/photos/dogs/1.png\n"
    Path("list.txt").write_text(listed, encoding="utf-8")
    assert names("list.txt") == ["photos/cats/1.png", "photos/dogs/1.png"]
    with tarfile.open("shard.tar", "w") as tar:
        tar.add("photos/cats/1.png", "a.png")
    assert names("shard.tar") == ["shard.tar/a.png"]


def test_list_that_names_a_file_elsewhere(photos, here):
    (here / "lists").mkdir()
    Path("lists/list.txt").write_text("../photos/cats/1.png\n", encoding="utf-8")
    path = Path(os.path.abspath("photos/cats/1.png"))
    assert names("lists/list.txt") == [path.relative_to(path.anchor).as_posix()]


def test_folder_with_classes_is_encoded_decoded_and_reconstructed(succeed, world, photos):
    succeed("encode", world.vqgan, photos)
    assert sorted(safetensors.torch.load_file("codes.safetensors")) == ALL
    succeed("decode", world.vqgan, "codes.safetensors")
    assert len(list(Path("decoded").iterdir())) == 3
    succeed("reconstruct", world.vqgan, photos, "--out", "all.png")
    with Image.open("all.png") as sheet:
        assert sheet.height == 3 * 4


def test_broken_picture_of_a_data_set_is_left_out_and_said(succeed, refused, world, photos):
    Path("photos/cats/2.png").write_bytes(b"text")
    out = succeed("encode", world.vqgan, photos).out
    assert "skipped photos/cats/2.png" in out
    assert "skipped: 1 picture, broken" in out
    assert sorted(safetensors.torch.load_file("codes.safetensors")) == [ALL[0], ALL[2]]
    assert "skipped photos/cats/2.png" in succeed("reconstruct", world.vqgan, photos).out
    refused(["encode", world.vqgan, "photos/cats/2.png"], "photos/cats/2.png")


def test_sheet_that_its_format_cannot_hold(refused, world, here):
    Image.new("RGB", (2, 16384)).save("high.png")
    line = ["reconstruct", world.vqgan, "high.png", "--longest-px", "16384", "--out"]
    refused([*line, "high.webp"], "16384 pixels high", "16383", "give a .png")


def test_a_data_set_is_looked_at_once(here, caplog):
    Path("masks").mkdir()
    Image.new("RGB", (4, 4)).save("masks/1.png")
    assert names(".") == ["masks/1.png"]
    assert caplog.text.count("usually hold maps") == 1


def test_pictures_of_the_same_size_are_encoded_together(succeed, world, here, monkeypatch):
    """Those that follow each other, as many as a batch may have; the codes are those of each."""
    (here / "photos").mkdir()
    sizes = [(16, 16), (16, 16), (16, 24), (16, 16), (16, 16), (16, 16)]
    for number, size in enumerate(sizes):
        pixels = np.random.default_rng(number).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"photos/{number}.png")
    monkeypatch.setattr("smalti.tokenizer.base.ENCODED_PIXELS", 2 * 16 * 16)
    batches = []
    encode = VQGAN.encode
    monkeypatch.setattr(
        VQGAN, "encode", lambda self, images: batches.append(images) or encode(self, images)
    )
    succeed("encode", world.vqgan, "photos")
    assert [tuple(images.shape) for images in batches] == [
        (2, 3, 16, 16),
        (1, 3, 24, 16),
        (2, 3, 16, 16),
        (1, 3, 16, 16),
    ]
    codes = safetensors.torch.load_file("codes.safetensors")
    vqgan = VQGAN.from_pretrained(world.vqgan)
    for number in range(len(sizes)):
        image = from_pil(Image.open(f"photos/{number}.png"))
        assert torch.equal(codes[f"{number}.png"].long(), encode(vqgan, image[None])[0])

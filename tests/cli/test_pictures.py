"""What `encode` and `reconstruct` take, and what codes are called."""

import os
import shutil
import tarfile
from pathlib import Path

import pytest
import safetensors.torch
from PIL import Image

from smalti.cli.pictures import find_pictures


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

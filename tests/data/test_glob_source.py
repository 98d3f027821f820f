"""Patterns that name image files."""

from pathlib import Path
from typing import Any

import pytest

from smalti.config import InputError
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.sources import open_source
from smalti.data.sources.glob_files import GlobSource
from smalti.data.sources.list_file import ListSource
from smalti.data.sources.webdataset import WebDatasetSource
from smalti.data.split import split_held_out


def names(source: Any) -> list[str]:
    return [source.name(index) for index in range(len(source))]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("cat/*.png", ["1.png", "3.png", "5.png"]),
        ("cat/[15].png", ["1.png", "5.png"]),
        ("cat/?.png", ["1.png", "3.png", "5.png"]),
        ("dog/{4,0}.png", ["4.png", "0.png"]),
        ("{dog,cat}/[01].png", ["dog/0.png", "cat/1.png"]),
        ("*/1.png", ["cat/1.png"]),
        ("**/[12].png", ["cat/1.png", "dog/2.png"]),
        ("cat/{1..3..2}.png", ["1.png", "3.png"]),
        ("{cat,*}/1.png", ["cat/1.png"]),
        ("cat/*", ["1.png", "3.png", "5.png"]),
    ],
)
def test_pattern_gives_the_images_that_a_list_of_them_would(
    photos: Path, pattern: str, expected: list[str]
) -> None:
    (photos / "cat/notes.md").write_text("no image", encoding="utf-8")
    (photos / "cat/.hidden.png").write_bytes(b"")
    source = open_source(f"{photos}/{pattern}", classes=False)
    assert isinstance(source, GlobSource)
    assert names(source) == expected
    listed = photos / pattern.partition("/")[0] if len(expected[0]) == 5 else photos
    (listed / "list.txt").write_text("\n".join(expected), encoding="utf-8")
    same = ListSource(str(listed / "list.txt"), classes=False)
    assert [same.read(n) for n in range(len(same))] == [source.read(n) for n in range(len(source))]


def test_folders_below_the_pattern_are_classes(photos: Path) -> None:
    source = open_source(f"{photos}/*/*.png", classes=True)
    assert source.class_names == ("cat", "dog")
    assert [source.label(index) for index in range(6)] == [0, 0, 0, 1, 1, 1]
    with pytest.raises(InputError, match=r"cat/1\.png lies in no sub-folder"):
        open_source(f"{photos}/cat/*.png", classes=True)


def test_held_out_images_and_fingerprint_are_those_of_the_folder(many_photos: Path) -> None:
    held_out, prints = [], []
    for spec in (many_photos, many_photos / "*.png", many_photos / "{0..3}?.png"):
        dataset = ImageDataset([open_source(str(spec), False)], TransformConfig(size=8), 0)
        part = split_held_out(dataset, 0.3).held_out
        assert part is not None
        held_out.append([part.name(index) for index in range(len(part))])
        prints.append(dataset.fingerprint())
    assert held_out[0] == held_out[1] == held_out[2]
    assert prints[0] == prints[1] == prints[2]
    (many_photos / "41.png").write_bytes((many_photos / "01.png").read_bytes())
    more = ImageDataset(
        [open_source(str(many_photos / "*.png"), False)], TransformConfig(size=8), 0
    )
    assert more.fingerprint() != prints[0]


def test_pattern_is_relative_to_the_working_folder(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos.parent)
    assert names(open_source("photos/cat/*.png", False)) == ["1.png", "3.png", "5.png"]
    monkeypatch.chdir(photos / "cat")
    source = open_source("*.png", False)
    assert names(source) == ["1.png", "3.png", "5.png"]
    assert source.key(0) == "1.png"


def test_folder_with_a_wildcard_in_its_name_is_meant_literally(photos: Path) -> None:
    photos.rename(photos.with_name("photos [1]"))
    source = open_source(f"{photos} [1]/cat/1.png".replace("1.png", "{1,3}.png"), False)
    assert names(source) == ["1.png", "3.png"]


def test_images_and_maps_are_told_apart(tmp_path: Path, encode: Any) -> None:
    for path in ("images/1.png", "segmentations/1.png"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_bytes(encode(1))
    source = open_source(f"{tmp_path}/*/*.png", False)
    assert names(source) == ["images/1.png"]
    assert names(open_source(f"{tmp_path}/*/*.png", False, "segmentations")) == [
        "segmentations/1.png"
    ]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("*.png", r"\*\.png does not exist, or nothing matches it"),
        ("cat/{1,9}.png", r"9\.png does not exist"),
        ("cat/{1,9.png", "a brace without its partner"),
        ("*", "no images in .*; it matches cat; a pattern names files, as"),
        ("cat/*.md", r"no images in .*\*\.md; it matches notes.md"),
        ("shards/a*", r"let the pattern end in \.tar, as .*shards/a\*\.tar"),
    ],
)
def test_pattern_of_no_image_is_an_error(
    photos: Path, write_tar: Any, pattern: str, message: str
) -> None:
    (photos / "cat/notes.md").write_text("no image", encoding="utf-8")
    (photos / "shards").mkdir()
    write_tar(photos / "shards/a0.tar", {"x.txt": b""})
    with pytest.raises(InputError, match=message) as caught:
        open_source(f"{photos}/{pattern}", classes=False)
    assert "\n" not in str(caught.value)


def test_shards_are_found_at_any_depth(tmp_path: Path, encode: Any, write_tar: Any) -> None:
    for name in ("a/1.tar", "b/c/2.tar"):
        (tmp_path / name).parent.mkdir(parents=True)
        write_tar(tmp_path / name, {"0.png": encode(0)})
    source = open_source(f"{tmp_path}/**/*.tar", classes=False)
    assert isinstance(source, WebDatasetSource)
    assert len(source) == 2

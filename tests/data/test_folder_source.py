"""Folders as people have them: links, stray files, odd names."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from smalti.config import InputError
from smalti.data.decode import BrokenImageError
from smalti.data.sources import open_source
from smalti.data.sources.base import name_bytes
from smalti.data.sources.folder import FolderSource


def names(source: Any) -> list[str]:
    return [source.name(index) for index in range(len(source))]


def test_images_are_found_in_sub_folders_and_sorted(photos: Path) -> None:
    (photos / "notes.md").write_text("not an image", encoding="utf-8")
    (photos / ".hidden.png").write_bytes(b"")
    expected = ["cat/1.png", "cat/3.png", "cat/5.png", "dog/0.png", "dog/2.png", "dog/4.png"]
    assert names(FolderSource(str(photos), classes=False)) == expected


def test_added_and_removed_files_change_the_fingerprint(photos: Path, encode: Any) -> None:
    fingerprints = [FolderSource(str(photos), classes=False).fingerprint()]
    (photos / "new.png").write_bytes(encode(9))
    fingerprints.append(FolderSource(str(photos), classes=False).fingerprint())
    (photos / "cat/1.png").unlink()
    fingerprints.append(FolderSource(str(photos), classes=False).fingerprint())
    assert len(set(fingerprints)) == 3


def test_fingerprint_does_not_depend_on_where_the_folder_lies(photos: Path) -> None:
    before = FolderSource(str(photos), classes=False).fingerprint()
    moved = photos.rename(photos.with_name("moved"))
    assert FolderSource(str(moved), classes=False).fingerprint() == before


def test_numbered_folders_are_classes_in_numerical_order(tmp_path: Path, encode: Any) -> None:
    for number in range(11):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "a.png").write_bytes(encode(number))
    source = FolderSource(str(tmp_path), classes=True)
    assert source.class_names == tuple(map(str, range(11)))
    assert {source.name(i).split("/")[0]: source.label(i) for i in range(11)} == {
        str(number): number for number in range(11)
    }


def test_classes_are_one_whatever_way_unicode_writes_their_accents(
    tmp_path: Path, encode: Any
) -> None:
    for folder, number in (("caf\u00e9", 1), ("cafe\u0301", 2)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{number}.png").write_bytes(encode())
    source = FolderSource(str(tmp_path), classes=True)
    assert source.class_names == ("caf\u00e9",)


def test_image_outside_the_class_folders_is_named(photos: Path, encode: Any) -> None:
    (photos / "stray.png").write_bytes(encode())
    with pytest.raises(InputError, match=r"stray\.png lies in no sub-folder"):
        FolderSource(str(photos), classes=True)


def test_folder_without_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"no images in .*\.jpg"):
        open_source(str(tmp_path), classes=False)


def test_folder_called_like_an_image_is_entered(photos: Path, encode: Any) -> None:
    (photos / "x.png").mkdir()
    (photos / "x.png/inside.png").write_bytes(encode())
    source = FolderSource(str(photos), classes=False)
    assert "x.png/inside.png" in names(source)
    assert "x.png" not in names(source)


def test_link_to_nothing_is_reported_and_left_out(
    photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    with caplog.at_level(logging.WARNING):
        source = FolderSource(str(photos), classes=False)
    assert len(source) == 6
    assert "gone.png" in caplog.text


def test_loop_of_links_ends(photos: Path) -> None:
    (photos / "cat/up").symlink_to(photos, target_is_directory=True)
    (photos / "cat/self.png").symlink_to(photos / "cat/self.png")
    assert len(FolderSource(str(photos), classes=False)) == 6


def test_linked_folder_outside_is_followed_under_the_links_name(
    photos: Path, tmp_path: Path, encode: Any
) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store/7.png").write_bytes(encode(7))
    (photos / "bird").symlink_to(tmp_path / "store", target_is_directory=True)
    source = FolderSource(str(photos), classes=True)
    assert source.class_names == ("bird", "cat", "dog")
    assert "bird/7.png" in names(source)


def test_folder_goes_by_its_own_name_rather_than_by_a_links(photos: Path) -> None:
    for name in ("a_link", "z_link"):  # before and after it in alphabetical order
        (photos / name).symlink_to(photos / "dog", target_is_directory=True)
    assert FolderSource(str(photos), classes=True).class_names == ("cat", "dog")


def test_odd_file_names_are_read_and_their_keys_printable(tmp_path: Path, encode: Any) -> None:
    raw_names = [b"new\nline.png", b"\xff\xfe.png", "größe.png".encode(), b"a" * 200 + b".png"]
    for name in raw_names:
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
            file.write(encode())
    source = FolderSource(str(tmp_path), classes=False)
    assert len(source.fingerprint()) == 64
    for index in range(len(raw_names)):
        image = source.read(index)
        assert image.content == encode()
        assert image.key.isprintable()
        assert json.loads(json.dumps(image.key)) == image.key.encode().decode()


def test_any_name_has_bytes_to_be_hashed() -> None:
    assert name_bytes("größe\udcff") == "größe".encode() + b"\xff"
    assert name_bytes("\ud83d.png") == b"\xed\xa0\xbd.png"  # half a character, as Windows allows


def test_file_that_vanished_is_broken(photos: Path) -> None:
    source = FolderSource(str(photos), classes=False)
    (photos / "cat/1.png").unlink()
    with pytest.raises(BrokenImageError, match=r"cat/1\.png: it cannot be read"):
        source.read(0)


def test_pipe_in_place_of_a_file_is_broken_and_does_not_block(photos: Path) -> None:
    source = FolderSource(str(photos), classes=False)
    (photos / "cat/1.png").unlink()
    os.mkfifo(photos / "cat/1.png")
    with pytest.raises(BrokenImageError, match="not a regular file"):
        source.read(0)

"""Text lists of image paths."""

import os
from pathlib import Path
from typing import Any

import pytest

from smalti.config import InputError
from smalti.data.decode import BrokenImageError
from smalti.data.sources.list_file import ListSource


@pytest.fixture
def write_list(tmp_path: Path) -> Any:
    def write(text: str) -> str:
        path = tmp_path / "list.txt"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_paths_are_relative_to_the_list_or_absolute(photos: Path, encode: Any) -> None:
    outside = photos.parent / "outside.png"
    outside.write_bytes(encode(9))
    (photos / "list.txt").write_text(f"cat/1.png\n\n{outside}\n", encoding="utf-8")
    source = ListSource(str(photos / "list.txt"), classes=False)
    assert [source.read(i).content for i in range(2)] == [encode(1), encode(9)]


def test_order_and_repetitions_are_those_of_the_list(write_list: Any) -> None:
    source = ListSource(write_list("b.png\na.png\nb.png\n"), classes=False)
    assert [source.name(i) for i in range(3)] == ["b.png", "a.png", "b.png"]


@pytest.mark.parametrize(
    ("line", "path", "label"),
    [
        ("a.png\tred cat", "a.png", "red cat"),
        ("a.png red", "a.png", "red"),
        ("my photo.png red", "my photo.png", "red"),
        ("my photo.png\tred", "my photo.png", "red"),
        ("no_suffix\tred", "no_suffix", "red"),
    ],
)
def test_class_follows_the_path(write_list: Any, line: str, path: str, label: str) -> None:
    source = ListSource(write_list(line + "\n"), classes=True)
    assert (source.name(0), source.class_names) == (path, (label,))
    without = ListSource(write_list(line + "\n"), classes=False)
    assert (without.name(0), without.class_names) == (path, None)


@pytest.mark.parametrize("line", ["my photo.png", "a.png b.png", "plain name"])
def test_spaces_in_a_path_are_no_class(write_list: Any, line: str) -> None:
    source = ListSource(write_list(line), classes=False)
    assert source.name(0) == line
    with pytest.raises(InputError, match="gives none for"):
        ListSource(write_list(line), classes=True)


def test_backslashes_of_a_list_made_on_windows_separate_folders(photos: Path, encode: Any) -> None:
    (photos / "list.txt").write_text("cat\\1.png\tcat\n", encoding="utf-8")
    source = ListSource(str(photos / "list.txt"), classes=True)
    assert (source.name(0), source.read(0).content) == ("cat/1.png", encode(1))


def test_backslash_in_the_name_of_a_file_that_is_there_stays(
    write_list: Any, tmp_path: Path
) -> None:
    (tmp_path / "a\\b.png").touch()
    assert ListSource(write_list("a\\b.png"), classes=False).name(0) == "a\\b.png"


def test_numbers_are_class_numbers(write_list: Any) -> None:
    source = ListSource(write_list("a.png 3\nb.png 1\n"), classes=True)
    assert source.class_names == ("0", "1", "2", "3")
    assert [source.label(0), source.label(1)] == [3, 1]


def test_absurd_class_number_is_an_error(write_list: Any) -> None:
    with pytest.raises(InputError, match="has class 99999999999; allowed are 0 to"):
        ListSource(write_list("a.png 99999999999\n"), classes=True)


def test_byte_order_mark_and_windows_line_ends_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfa.png\r\nb.png\r\n")
    source = ListSource(str(tmp_path / "list.txt"), classes=False)
    assert [source.name(i) for i in range(2)] == ["a.png", "b.png"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_lists_of_any_unicode_encoding_are_read(
    tmp_path: Path, encoding: str, line_end: str
) -> None:
    text = line_end.join(["größe.png\tgroß", "b.png\tklein", ""])
    (tmp_path / "list.txt").write_bytes(text.encode(encoding))
    source = ListSource(str(tmp_path / "list.txt"), classes=True)
    assert [source.name(i) for i in range(len(source))] == ["größe.png", "b.png"]
    assert source.class_names == ("groß", "klein")


def test_list_of_powershell_is_read(shared_dir: Path) -> None:
    path = shared_dir / "faults/list_utf16.txt"
    if not path.is_file():
        pytest.skip("shared/faults is not there")
    source = ListSource(str(path), classes=False)
    assert [source.name(i) for i in range(len(source))] == [f"photos/p{i:03}.png" for i in range(6)]


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_byte_order_mark_tells_the_order(tmp_path: Path, mark: bytes) -> None:
    order = "utf-16-le" if mark == b"\xff\xfe" else "utf-16-be"
    (tmp_path / "list.txt").write_bytes(mark + "a.png\r\n".encode(order))
    assert ListSource(str(tmp_path / "list.txt"), classes=False).name(0) == "a.png"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a.png\n".encode("utf-16-le"), "has a NUL in it: it is no text, or in UTF-16 without"),
        (b"a.png\nb\0.png\n", "has a NUL in it"),
        (b"\xff\xfea.png", "is not in UTF-16; save it as UTF-8"),
        ("größe.png\n".encode("latin-1"), r"is not in UTF-8 \(gr.*\.png\); save it as UTF-8"),
        ("a.png\tgroß\n".encode("cp1252"), r"is not in UTF-8 \(gro.*\); save it as UTF-8"),
    ],
)
def test_list_of_another_encoding_is_one_clear_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        ListSource(str(tmp_path / "list.txt"), classes=True)
    assert str(caught.value).isprintable()


def test_file_names_that_are_no_utf8_are_read_where_they_exist(tmp_path: Path, encode: Any) -> None:
    name = b"gr\xf6sse.png"
    with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
        file.write(encode())
    (tmp_path / "list.txt").write_bytes(name)
    assert ListSource(str(tmp_path / "list.txt"), classes=False).read(0).content == encode()


@pytest.mark.parametrize(
    ("written", "on_disk"),
    [
        ("cafe\u0301/1.png", "caf\u00e9/1.png"),
        ("caf\u00e9/1.png", "cafe\u0301/1.png"),
        ("cafe\\1.png", "cafe/1.png"),
        ("caf\u00e9\\1.png", "cafe\u0301/1.png"),
    ],
)
def test_files_are_found_whatever_way_their_names_are_written(
    tmp_path: Path, encode: Any, written: str, on_disk: str
) -> None:
    (tmp_path / on_disk).parent.mkdir()
    (tmp_path / on_disk).write_bytes(encode())
    (tmp_path / "list.txt").write_text(written, encoding="utf-8")
    source = ListSource(str(tmp_path / "list.txt"), classes=False)
    assert source.name(0) == on_disk
    assert source.read(0).content == encode()


def test_missing_file_is_broken_when_read(write_list: Any) -> None:
    source = ListSource(write_list("gone.png\n"), classes=False)
    with pytest.raises(BrokenImageError, match=r"gone\.png: it cannot be read \(No such file"):
        source.read(0)


def test_empty_list_is_an_error(write_list: Any) -> None:
    with pytest.raises(InputError, match="one path a line"):
        ListSource(write_list("\n\n"), classes=False)


def test_missing_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*gone\.txt: No such file"):
        ListSource(str(tmp_path / "gone.txt"), classes=False)

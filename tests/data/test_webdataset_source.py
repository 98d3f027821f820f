"""WebDataset shards, sound and damaged."""

import glob
import io
import json
import logging
import os
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from smalti.config import InputError
from smalti.data.sources.shards import find_shards, relative_names
from smalti.data.sources.webdataset import WebDatasetSource


def names(source: WebDatasetSource) -> list[str]:
    return [source.name(index) for index in range(len(source))]


def test_json_names_the_classes(tmp_path: Path, encode: Any, write_tar: Any) -> None:
    members = {}
    for number, info in enumerate([{"name": "crane"}, {"synset": "n01"}, {"name": "crane"}]):
        members |= {
            f"{number}.png": encode(number),
            f"{number}.cls": str(number).encode(),
            f"{number}.json": json.dumps(info).encode(),
        }
    members |= {"3.png": encode(3), "3.cls": b"4\n", "3.json": b"no json"}
    write_tar(tmp_path / "a.tar", members)
    source = WebDatasetSource(str(tmp_path / "a.tar"), classes=True)
    assert source.class_names == ("crane (0)", "n01", "crane (2)", "3", "4")
    assert [source.label(i) for i in range(4)] == [0, 1, 2, 4]


def test_folders_in_names_tell_examples_apart(tmp_path: Path, encode: Any, write_tar: Any) -> None:
    write_tar(tmp_path / "a.tar", {"x/1.png": encode(1), "y/1.png": encode(2)})
    assert len(WebDatasetSource(str(tmp_path / "a.tar"), classes=False)) == 2


def test_paired_map_is_not_taken_for_an_image(tmp_path: Path, encode: Any, write_tar: Any) -> None:
    write_tar(tmp_path / "a.tar", {"1.jpg": encode(1), "1.seg.png": encode(2)})
    source = WebDatasetSource(str(tmp_path / "a.tar"), classes=False)
    assert [source.read(i).content for i in range(len(source))] == [encode(1)]


def test_first_image_of_a_repeated_key_counts_and_is_reported(
    tmp_path: Path, encode: Any, write_tar: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write_tar(tmp_path / "a.tar", {"1.png": encode(1), "1.jpg": encode(2)})
    with caplog.at_level(logging.WARNING):
        source = WebDatasetSource(str(tmp_path / "a.tar"), classes=False)
    assert names(source) == ["a.tar/1.png"]
    assert re.search("left out 1 picture of .*a.tar, as a.tar/1.jpg: of each name", caplog.text)


def test_examples_without_class_or_image_are_left_out_and_counted(
    tmp_path: Path, encode: Any, write_tar: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write_tar(
        tmp_path / "a.tar",
        {"1.png": encode(1), "1.cls": b"0", "2.png": encode(2), "3.cls": b"0"},
    )
    with caplog.at_level(logging.WARNING):
        source = WebDatasetSource(str(tmp_path / "a.tar"), classes=True)
    assert names(source) == ["a.tar/1.png"]
    assert re.search(r"left out 2 examples of .*a\.tar without an image and a \.cls", caplog.text)


def test_one_example_is_counted_in_the_singular(
    tmp_path: Path, encode: Any, write_tar: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write_tar(tmp_path / "a.tar", {"1.png": encode(1), "README.txt": b"text"})
    with caplog.at_level(logging.WARNING):
        WebDatasetSource(str(tmp_path / "a.tar"), classes=False)
    assert "left out 1 example of" in caplog.text


@pytest.mark.parametrize(
    "members",
    [
        ["22.01.png", "22.02.png", "23.01.png"],
        ["scene.0.png", "scene.1.png"],
        ["22.png", "22.01.png"],
        ["St. Peter.jpg", "St. Mark.jpg", "v1.2.final.PNG"],
        ["a.mask.png", "b.mask.png"],
        ["x.y/1.png", "x.y/2.png", "x/y.png"],
        ["1.input.png", "1.target.png"],
    ],
)
def test_pictures_with_dots_in_their_names_are_all_read(
    tmp_path: Path,
    encode: Any,
    write_tar: Any,
    caplog: pytest.LogCaptureFixture,
    members: list[str],
) -> None:
    write_tar(tmp_path / "a.tar", {name: encode(n) for n, name in enumerate(members)})
    with caplog.at_level(logging.WARNING):
        source = WebDatasetSource(str(tmp_path / "a.tar"), classes=False)
    assert names(source) == [f"a.tar/{name}" for name in members]
    assert [source.content(n) for n in range(len(members))] == [
        encode(n) for n in range(len(members))
    ]
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("members", "read", "beside"),
    [
        (["1.seg.png", "1.jpg"], ["1.jpg"], "1.seg.png"),
        (["1.image.jpg", "1.mask.png", "1.depth.png"], ["1.image.jpg"], "1.mask.png"),
        (["22.01.jpg", "22.01.seg.png", "22.02.jpg"], ["22.01.jpg", "22.02.jpg"], "22.01.seg.png"),
        (["a.jpg", "a.seg.v.png"], ["a.jpg"], "a.seg.v.png"),
    ],
)
def test_maps_that_go_with_a_picture_are_left_out_in_words(
    tmp_path: Path,
    encode: Any,
    write_tar: Any,
    caplog: pytest.LogCaptureFixture,
    members: list[str],
    read: list[str],
    beside: str,
) -> None:
    write_tar(tmp_path / "a.tar", {name: encode(0) for name in members})
    with caplog.at_level(logging.WARNING):
        source = WebDatasetSource(str(tmp_path / "a.tar"), classes=False)
    assert names(source) == [f"a.tar/{name}" for name in read]
    assert f"as a.tar/{beside}: taken for what goes with the picture" in caplog.text


def test_classes_of_pictures_with_dots(tmp_path: Path, encode: Any, write_tar: Any) -> None:
    """A class of one's own comes before one that is shared by all of a beginning."""
    members = {f"{name}.png": encode(0) for name in ("22.01", "22.02", "s.0", "s.1", "plain")}
    labels = {"22.01": b"a", "22.02": b"b", "s": b"c", "s.1": b"d", "plain": b"e"}
    info = {"22.02.json": json.dumps({"name": "no name of another"}).encode()}
    members |= {f"{name}.cls": word for name, word in labels.items()} | info
    write_tar(tmp_path / "a.tar", members)
    source = WebDatasetSource(str(tmp_path / "a.tar"), classes=True)
    assert source.class_names is not None
    found = {source.name(n): source.class_names[source.label(n) or 0] for n in range(len(source))}
    assert found == {
        f"a.tar/{name}.png": word
        for name, word in zip(["22.01", "22.02", "s.0", "s.1", "plain"], "abcde", strict=True)
    }


def test_hidden_files_are_left_out(
    tmp_path: Path, encode: Any, write_tar: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """macOS puts a file `._name` beside each."""
    write_tar(tmp_path / "a.tar", {"._1.png": b"\0\5\x16\7", "1.png": encode(1)})
    with caplog.at_level(logging.WARNING):
        source = WebDatasetSource(str(tmp_path / "a.tar"), classes=False)
    assert names(source) == ["a.tar/1.png"]
    assert caplog.text == ""


def test_pictures_beside_json_in_a_folder_called_keypoints_are_read(
    tmp_path: Path, encode: Any, write_tar: Any
) -> None:
    write_tar(tmp_path / "a.tar", {"keypoints/1.png": encode(1), "keypoints/1.json": b"{}"})
    source = WebDatasetSource(str(tmp_path / "a.tar"), classes=False)
    assert [source.content(n) for n in range(len(source))] == [encode(1)]


def test_class_may_have_a_byte_order_mark_or_be_in_utf16(
    tmp_path: Path, encode: Any, write_tar: Any
) -> None:
    words = [b"\xef\xbb\xbf1\n", "0\r\n".encode("utf-16")]
    members = {}
    for number, word in enumerate(words):
        members |= {f"{number}.png": encode(number), f"{number}.cls": word}
    write_tar(tmp_path / "a.tar", members)
    source = WebDatasetSource(str(tmp_path / "a.tar"), classes=True)
    assert source.class_names == ("0", "1")
    assert [source.label(0), source.label(1)] == [1, 0]


def test_class_of_another_encoding_is_one_clear_line(
    tmp_path: Path, encode: Any, write_tar: Any
) -> None:
    write_tar(tmp_path / "a.tar", {"1.png": encode(1), "1.cls": "groß".encode("latin-1")})
    with pytest.raises(InputError, match=r"a\.tar/1\.cls is not in UTF-8; save it as UTF-8"):
        WebDatasetSource(str(tmp_path / "a.tar"), classes=True)


def test_empty_class_is_none(
    tmp_path: Path, encode: Any, write_tar: Any, caplog: pytest.LogCaptureFixture
) -> None:
    members = {"1.png": encode(1), "1.cls": b" \n", "2.png": encode(2), "2.cls": b"a"}
    write_tar(tmp_path / "a.tar", members)
    with caplog.at_level(logging.WARNING):
        source = WebDatasetSource(str(tmp_path / "a.tar"), classes=True)
    assert names(source) == ["a.tar/2.png"]
    assert "left out 1 example of" in caplog.text


def test_json_that_names_no_class_leaves_its_number(
    tmp_path: Path, encode: Any, write_tar: Any
) -> None:
    infos = [b'{"name": ["a", "b"]}', b'{"name": null, "synset": "n1"}', b"[" * 100_000]
    members = {}
    for number, info in enumerate(infos):
        members |= {f"{number}.png": encode(), f"{number}.cls": str(number).encode()}
        members[f"{number}.json"] = info
    write_tar(tmp_path / "a.tar", members)
    source = WebDatasetSource(str(tmp_path / "a.tar"), classes=True)
    assert source.class_names == ("0", "n1", "2")


def test_only_regular_files_count(tmp_path: Path, encode: Any) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, kind in [
            ("folder.png", tarfile.DIRTYPE),
            ("link.png", tarfile.SYMTYPE),
            ("hard.png", tarfile.LNKTYPE),
            ("device.png", tarfile.CHRTYPE),
            ("pipe.png", tarfile.FIFOTYPE),
            ("sparse.png", tarfile.GNUTYPE_SPARSE),
        ]:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        member = tarfile.TarInfo("file.png")
        member.size = len(encode())
        tar.addfile(member, io.BytesIO(encode()))
    assert names(WebDatasetSource(str(tmp_path / "a.tar"), classes=False)) == ["a.tar/file.png"]


def test_member_paths_outside_the_tar_are_only_text(
    tmp_path: Path, encode: Any, write_tar: Any
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    write_tar(inner / "a.tar", {"../up.png": encode(1), "/absolute.png": encode(2)})
    source = WebDatasetSource(str(inner / "a.tar"), classes=False)
    assert [source.read(i).content for i in range(2)] == [encode(1), encode(2)]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar", "inner"]


# Inside the third image; inside its header; after the second, with no end mark.
@pytest.mark.parametrize("cut", ["image", "header", "end"])
def test_truncated_shard_is_read_up_to_the_damage(
    tmp_path: Path, encode: Any, write_tar: Any, caplog: pytest.LogCaptureFixture, cut: str
) -> None:
    path = tmp_path / "a.tar"
    write_tar(path, {f"{number}.png": encode(number) for number in range(3)})
    with tarfile.open(path) as tar:
        third = tar.getmember("2.png")
    place = {"image": third.offset_data + 10, "header": third.offset + 100, "end": third.offset}
    path.write_bytes(path.read_bytes()[: place[cut]])
    with caplog.at_level(logging.WARNING):
        source = WebDatasetSource(str(path), classes=False)
    assert [source.read(i).content for i in range(len(source))] == [encode(0), encode(1)]
    assert ("a.tar is damaged" in caplog.text) == (cut != "end")


def test_overwritten_header_is_reported(
    tmp_path: Path, encode: Any, write_tar: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.tar"
    write_tar(path, {f"{number}.png": encode(number) for number in range(3)})
    with tarfile.open(path) as tar:
        second = tar.getmember("1.png").offset
    content = path.read_bytes()
    path.write_bytes(content[:second] + b"x" * 512 + content[second + 512 :])
    with caplog.at_level(logging.WARNING):
        assert len(WebDatasetSource(str(path), classes=False)) == 1
    assert "a.tar is damaged" in caplog.text


@pytest.mark.parametrize("pattern", ["shards\\{0,1}.tar", "shards\\{0..1}.tar"])
def test_backslash_separates_folders_where_the_system_says_so(tmp_path, monkeypatch, pattern):
    monkeypatch.setattr(os, "sep", "\\")
    asked: list[str] = []
    monkeypatch.setattr(glob, "glob", lambda path, **_: asked.append(path) or [path])
    assert find_shards(pattern, ".tar") == asked == ["shards\\0.tar", "shards\\1.tar"]


def test_names_are_the_same_on_every_system(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sep", "\\")
    monkeypatch.setattr(os.path, "normpath", lambda path: path.replace("/", "\\"))
    folder, names = relative_names(["/data/train/a/0.tar", "/data/train/b/1.tar"])
    assert (folder, names) == ("/data/train", ["a/0.tar", "b/1.tar"])


def test_names_are_short_whatever_their_paths_have_between(tmp_path):
    folder = str(tmp_path)
    paths = [f"{folder}/a/../0.tar", f"{folder}/./b//1.tar"]
    assert relative_names(paths) == (folder, ["0.tar", "b/1.tar"])


def test_shards_without_a_common_folder_keep_their_paths(tmp_path, encode, write_tar, monkeypatch):
    """Some paths are absolute, or the files lie on two drives."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.tar", "b.tar"):
        write_tar(tmp_path / name, {"1.png": encode()})
    source = WebDatasetSource(f"{{a,{tmp_path}/b}}.tar", classes=False)
    assert names(source) == ["a.tar/1.png", f"{tmp_path}/b.tar/1.png"]
    assert source.content(1) == encode()


def test_sound_shard_reports_nothing(
    tmp_path: Path, encode: Any, write_tar: Any, caplog: pytest.LogCaptureFixture
) -> None:
    write_tar(tmp_path / "a.tar", {"0.png": encode(0), "0.cls": b"0"})
    with caplog.at_level(logging.WARNING):
        WebDatasetSource(str(tmp_path / "a.tar"), classes=True)
    assert caplog.text == ""


@pytest.mark.parametrize("content", [b"a text" * 200, b""])
def test_file_that_is_no_tar_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.tar"):
        WebDatasetSource(str(tmp_path / "a.tar"), classes=False)


def test_compressed_tar_is_an_error(tmp_path: Path, encode: Any) -> None:
    (tmp_path / "0.png").write_bytes(encode())
    with tarfile.open(tmp_path / "a.tar", "w:gz") as tar:
        tar.add(tmp_path / "0.png", "0.png")
    with pytest.raises(InputError, match="not an uncompressed tar"):
        WebDatasetSource(str(tmp_path / "a.tar"), classes=False)


def test_tar_without_images_is_an_error(tmp_path: Path, write_tar: Any) -> None:
    write_tar(tmp_path / "a.tar", {"0.txt": b"text"})
    with pytest.raises(InputError, match=r"no images in .*a\.tar"):
        WebDatasetSource(str(tmp_path / "a.tar"), classes=False)

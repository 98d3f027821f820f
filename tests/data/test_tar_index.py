"""The index of tars: what it saves, and that it is never believed too long."""

import json
import logging
import os
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from smalti.cli.main import main
from smalti.config import InputError
from smalti.data.sources import open_source, remote, tar_index
from smalti.data.sources.shards import find_shards
from smalti.data.sources.tar_index import FILE, index_tars
from smalti.data.sources.tar_table import Texts
from smalti.data.sources.webdataset import WebDatasetSource


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("SMALTI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def shards(tmp_path: Path, encode: Any, write_tar: Any) -> Path:
    """Three tars with two images each, with classes and what is left out."""
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(3):
        members = {}
        for image in (2 * number, 2 * number + 1):
            members |= {f"{image}.png": encode(image), f"{image}.cls": str(image % 2).encode()}
            members |= {f"{image}.json": json.dumps({"name": "ab"[image % 2]}).encode()}
        members |= {"0.seg.png": encode(9), "notes.md": b"text", f"x{number}.png": encode(7)}
        write_tar(folder / f"{number}.tar", members)
    return folder


def index(folder: Path) -> Path:
    (made,) = index_tars([str(path) for path in sorted(folder.glob("*.tar"))])
    return made.path


def all_of(source: WebDatasetSource) -> list[Any]:
    images = [(source.name(n), source.content(n), source.label(n)) for n in range(len(source))]
    return [*images, source.class_names, source.left_out, source.shards(), source.fingerprint()]


def forbid_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it fail to open a tar as one."""
    monkeypatch.setattr(tarfile, "open", lambda *_, **__: pytest.fail("a tar was opened"))


@pytest.mark.parametrize("classes", [False, True])
@pytest.mark.parametrize("names", ["*", "{2,0}"])
def test_data_set_is_the_same_with_an_index(
    shards: Path, caplog: pytest.LogCaptureFixture, monkeypatch: Any, classes: bool, names: str
) -> None:
    spec = f"{shards}/{names}.tar"
    found = []
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            found.append([*all_of(WebDatasetSource(spec, classes)), caplog.messages])
        index(shards)
        forbid_scans(monkeypatch)
    assert found[0] == found[1]
    assert len(found[0][-1]) == 2


def test_index_lies_beside_the_tars(shards: Path) -> None:
    assert index(shards) == shards / FILE
    assert WebDatasetSource.accepts(str(shards))


def test_index_lies_in_the_cache_where_the_folder_cannot_be_written(
    shards: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = tar_index.atomic_file

    def refuse(path: Path) -> Any:
        if path.parent == shards:
            raise InputError(f"cannot write {path}: the file system is read-only")
        return write(path)

    monkeypatch.setattr(tar_index, "atomic_file", refuse)
    before = all_of(WebDatasetSource(str(shards), True))
    assert index(shards).parent == own_cache / "tars"
    assert not (shards / FILE).exists()
    forbid_scans(monkeypatch)
    monkeypatch.chdir(shards)
    assert len(WebDatasetSource(".", True)) == 6
    assert all_of(WebDatasetSource(str(shards), True)) == before


def test_command_makes_the_index_and_says_where(shards: Path, capsys: Any) -> None:
    assert main(["inspect", str(shards), "--index"]) == 0
    assert capsys.readouterr().out == f"{shards / FILE}: 11 images in 3 tars\n"
    assert main(["inspect", str(shards / "0.tar" / "x"), "--index"]) == 2
    assert "--index is for tars" in capsys.readouterr().err


def test_others_may_read_the_index(shards: Path) -> None:
    umask = os.umask(0o022)
    try:
        assert index(shards).stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(umask)


def test_nothing_is_written_without_being_asked_for(shards: Path, own_cache: Path) -> None:
    WebDatasetSource(str(shards), False)
    assert not own_cache.exists()
    assert not (shards / FILE).exists()


def test_offsets_are_mapped(shards: Path) -> None:
    index(shards)
    table = WebDatasetSource(str(shards), False)._tars[0].table
    assert (table.offsets.dtype, table.sizes.dtype) == (np.int64, np.int64)
    mapped = Path("/proc/self/maps")
    if mapped.is_file():
        assert str(shards / FILE) in mapped.read_text(encoding="utf-8")


def test_source_with_an_index_reaches_another_process(shards: Path) -> None:
    index(shards)
    source = WebDatasetSource(str(shards), True)
    assert all_of(pickle.loads(pickle.dumps(source))) == all_of(source)


# Up to date


def change(path: Path, members: dict[str, bytes], write_tar: Any) -> None:
    write_tar(path, members)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))


def test_tar_that_changed_is_read_anew_alone(
    shards: Path, encode: Any, write_tar: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(shards)
    change(shards / "1.tar", {"new.png": encode(5)}, write_tar)
    read, opened = tar_index.read_tar, []

    def noted(path: str, *args: Any, **options: Any) -> Any:
        opened.append(path)
        return read(path, *args, **options)

    monkeypatch.setattr(tar_index, "read_tar", noted)
    with caplog.at_level(logging.WARNING):
        source = WebDatasetSource(f"{shards}/{{0..1}}.tar", False)
    assert [source.name(n) for n in range(len(source))][3:] == ["1.tar/new.png"]
    assert opened == [str(shards / "1.tar")]
    line = f"{shards / FILE} is out of date: 1 of 2 tars changed or are new, and are read anew"
    assert caplog.messages[0] == line
    caplog.clear()
    assert len(WebDatasetSource(str(shards), False)) == 8  # 2.tar is still known
    assert opened == [str(shards / "1.tar")]


def test_same_size_at_another_time_is_another_tar(
    tmp_path: Path, encode: Any, write_tar: Any
) -> None:
    path = tmp_path / "a.tar"
    write_tar(path, {"0.png": encode(0)})
    index(tmp_path)
    size = path.stat().st_size
    change(path, {"9.png": encode(0)}, write_tar)
    assert path.stat().st_size == size
    assert WebDatasetSource(str(path), False).name(0) == "a.tar/9.png"


def test_tars_that_came_and_went(shards: Path, encode: Any, write_tar: Any) -> None:
    index(shards)
    (shards / "0.tar").rename(shards / "3.tar")
    assert [name for name, _ in WebDatasetSource(str(shards), False).shards()] == [
        *("1.tar", "2.tar", "3.tar")
    ]
    (made,) = index_tars([str(shards / "3.tar")])
    assert [tar.name for tar in made.table.tars] == ["1.tar", "2.tar", "3.tar"]


DAMAGES = {
    "cut short": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
    "no index": lambda _: b"no index at all",
    "another version": lambda content: content.replace(b'"version": 1', b'"version": 2'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_index_is_written_anew(shards: Path, caplog: Any, damage: str) -> None:
    before = all_of(WebDatasetSource(str(shards), True))
    path = index(shards)
    sound = path.read_bytes()
    path.write_bytes(DAMAGES[damage](sound))
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        assert all_of(WebDatasetSource(str(shards), True)) == before
    assert caplog.messages[0].startswith(str(path))
    assert caplog.messages[0].endswith("the tars are read anew")
    assert path.read_bytes() == sound


def test_arrays_that_do_not_fit_are_a_damage(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = index(shards)
    sizes = tar_index.map_tensors(path)

    def fewer(_: Path) -> Any:
        return sizes | {"sizes": sizes["sizes"][:-1]}

    with monkeypatch.context() as patched:
        patched.setattr(tar_index, "map_tensors", fewer)
        with pytest.raises(ValueError, match="do not fit"):
            tar_index._table_in(path)


def test_many_tars_are_read_by_several_processes(
    shards: Path, encode: Any, write_tar: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_of(WebDatasetSource(str(shards), True))
    monkeypatch.setattr(tar_index, "MANY_TARS", 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    index(shards)
    assert all_of(WebDatasetSource(str(shards), True)) == before


def test_error_of_one_of_the_processes_is_told(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shards / "1.tar").write_bytes(b"no tar at all" * 100)
    monkeypatch.setattr(tar_index, "MANY_TARS", 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    with pytest.raises(InputError, match=r"1\.tar is not an uncompressed tar"):
        index(shards)
    assert not (shards / FILE).exists()


# Elsewhere


@pytest.fixture
def bucket(shards: Path) -> Iterator[str]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    for path in shards.glob("*.tar"):
        system.pipe(f"/bucket/{path.name}", path.read_bytes())
    yield "memory://bucket"
    system.store.clear()


def test_tars_elsewhere_are_indexed_without_copies(
    bucket: str, shards: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = WebDatasetSource(str(shards), True)
    index_tars(find_shards(f"{bucket}/*.tar", ".tar"))
    forbid_scans(monkeypatch)
    there = WebDatasetSource(f"{bucket}/*.tar", True)
    assert all_of(there)[:-1] == all_of(here)[:-1]
    assert not (own_cache / "files").exists()


def test_server_that_gives_whole_files_only_is_asked_once(
    bucket: str, shards: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = type(fsspec.filesystem("memory"))
    monkeypatch.setattr(system, "cat_file", lambda self, path, *_: self.store[path].getvalue())
    index_tars(find_shards(f"{bucket}/0.tar", ".tar"))
    source = WebDatasetSource(f"{bucket}/0.tar", False)
    assert source.content(0) == WebDatasetSource(str(shards), False).content(0)
    monkeypatch.setattr(system, "cat_file", lambda *_: pytest.fail("asked again"))
    assert remote.read_part(f"{bucket}/0.tar", 0, 5) == b"0.png"


# Parts and texts


def test_parts_in_folders_are_known_with_an_index(
    tmp_path: Path, encode: Any, write_tar: Any
) -> None:
    members = {f"images/{n}.png": encode(n) for n in range(2)}
    members |= {f"segmentations/{n}.png": encode(n + 4) for n in range(2)}
    members |= {f"keypoints/{n}.json": b"{}" for n in range(2)}
    write_tar(tmp_path / "a.tar", members)

    def parts() -> list[Any]:
        source = open_source(f"{tmp_path}/a.tar", False)
        others = [open_source(source.spec, False, part) for part in sorted(source.parts)]
        return [source.parts, *([one.name(n) for n in range(2)] for one in others)]

    before = parts()
    assert before[2] == ["a.tar/keypoints/0.json", "a.tar/keypoints/1.json"]
    index(tmp_path)
    assert parts() == before


def test_texts_are_stored_as_they_are() -> None:
    words = ["", "größe", "猫", "a\udcffb", "", "x\ny"]
    texts = Texts.joined([Texts.of(words[:2]), Texts.of([]), Texts.of(words[2:])])
    assert [texts[n] for n in range(6)] == words
    cut = texts.cut(1, 4)
    assert [cut[n] for n in range(3)] == words[1:4]
    assert texts.is_sound(6)
    assert not texts.is_sound(5)
    assert texts.cut(2, 2).is_sound(0)

"""Data sets that lie elsewhere, on file systems of fsspec."""

import http.server
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from smalti.config import InputError
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.decode import BrokenImageError
from smalti.data.loader import BatchLoader
from smalti.data.sources import open_source, remote
from smalti.data.sources.shards import relative_names
from smalti.paths import cache_folder, expand


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SMALTI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "WAITS", (0.0, 0.0))


@pytest.fixture
def bucket(photos: Path) -> Iterator[str]:
    """The six photographs in memory://bucket/photos, beside other files."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    for path in photos.rglob("*.png"):
        system.pipe(f"/bucket/photos/{path.relative_to(photos)}", path.read_bytes())
    system.pipe("/bucket/photos/notes.md", b"notes")
    system.pipe("/bucket/photos/.hidden/x.png", b"x")
    yield "memory://bucket"
    system.store.clear()


@pytest.fixture
def put(bucket: str) -> Callable[[Path], str]:
    """Move a file into the bucket; gives its address."""

    def move(path: Path) -> str:
        fsspec.filesystem("memory").pipe(f"/bucket/{path.name}", path.read_bytes())
        path.unlink()
        return f"{bucket}/{path.name}"

    return move


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Address of a server of the files in `tmp_path`; `/secret/` is forbidden there."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def send_head(self) -> Any:
            if self.path.startswith("/secret/"):
                self.send_error(403)
                return None
            return super().send_head()

    handler = partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def names(spec: str) -> list[str]:
    source = open_source(spec, classes=False)
    return [source.name(index) for index in range(len(source))]


def contents(spec: str) -> list[bytes]:
    source = open_source(spec, classes=False)
    return [source.read(index).content for index in range(len(source))]


def copies() -> list[Path]:
    return [path for path in cache_folder().rglob("*") if path.is_file()]


# Kinds


def test_folder_is_read_as_one_that_lies_here(bucket: str, photos: Path) -> None:
    here, there = (open_source(spec, classes=True) for spec in (str(photos), f"{bucket}/photos/"))
    assert [there.name(i) for i in range(6)] == [here.name(i) for i in range(6)]
    assert [there.content(i) for i in range(6)] == [here.content(i) for i in range(6)]
    assert (there.class_names, there.labels) == (here.class_names, here.labels)
    assert there.key(0) == f"{bucket}/photos/cat/1.png"
    assert there.left_out == {".md": 1}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("photos/*/[1-3].png", ["cat/1.png", "cat/3.png", "dog/2.png"]),
        ("photos/**/*.png", [f"{'cat' if n % 2 else 'dog'}/{n}.png" for n in (1, 3, 5, 0, 2, 4)]),
        ("photos/cat/{5,1}.png", ["5.png", "1.png"]),
    ],
)
def test_pattern_matches_there(bucket: str, pattern: str, expected: list[str]) -> None:
    assert names(f"{bucket}/{pattern}") == expected


def test_list_names_files_below_its_folder_and_addresses(
    bucket: str, put: Any, tmp_path: Path, encode: Any
) -> None:
    lines = f"photos/cat/1.png\n{bucket}/photos/dog/2.png\n"
    (tmp_path / "list.txt").write_text(lines, encoding="utf-8")
    assert contents(put(tmp_path / "list.txt")) == [encode(1), encode(2)]
    (tmp_path / "here.txt").write_text(f"{bucket}/photos/dog/2.png\n", encoding="utf-8")
    assert contents(str(tmp_path / "here.txt")) == [encode(2)]


@pytest.mark.parametrize("spec", ["{0,1}.tar", "*.tar"])
def test_tars_are_read_there(put: Any, tmp_path: Path, encode: Any, write_tar: Any, spec: str):
    for number in (0, 1):
        write_tar(tmp_path / f"{number}.tar", {f"{number}.png": encode(number), "a.cls": b"x"})
        put(tmp_path / f"{number}.tar")
    assert contents(f"memory://bucket/{spec}") == [encode(0), encode(1)]
    assert names(f"memory://bucket/{spec}") == ["0.tar/0.png", "1.tar/1.png"]


def test_parquet_is_copied_when_an_image_is_needed(
    put: Any, tmp_path: Path, encode: Any, write_parquet: Any
) -> None:
    write_parquet(tmp_path / "a.parquet", [encode(0), encode(1)], [1, 0], ["a", "b"])
    source = open_source(put(tmp_path / "a.parquet"), classes=True)
    assert (source.class_names, source.labels, copies()) == (("a", "b"), (1, 0), [])
    assert [source.content(n) for n in (0, 1)] == [encode(0), encode(1)]
    assert [path.suffix for path in copies()] == [".parquet"]


def test_folder_of_tars_is_one(put: Any, tmp_path: Path, encode: Any, write_tar: Any) -> None:
    write_tar(tmp_path / "0.tar", {"0.png": encode(0)})
    system = fsspec.filesystem("memory")
    system.pipe("/shards/0.tar", (tmp_path / "0.tar").read_bytes())
    assert names("memory://shards") == ["0.tar/0.png"]


def test_address_of_a_local_file_is_its_path(photos: Path) -> None:
    assert expand(f"file://{photos}") == str(photos)
    assert open_source(f"file://{photos}", classes=False).key(0) == f"{photos}/cat/1.png"


def test_hub_data_sets_and_files_of_the_hub_differ() -> None:
    assert not remote.is_remote("hf://owner/name:train")
    assert remote.is_remote("hf://datasets/owner/name")


def test_addresses_have_a_common_folder() -> None:
    one_bucket, two_buckets = ["s3://b/x/0.tar", "s3://b/y/1.tar"], ["s3://a/0.tar", "s3://b/1.tar"]
    assert relative_names(one_bucket) == ("s3://b", ["x/0.tar", "y/1.tar"])
    assert relative_names(two_buckets) == ("", two_buckets)


# The cache folder


def test_file_is_copied_once(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = contents(f"{bucket}/photos")
    assert len(copies()) == 6
    monkeypatch.setattr(MemoryFileSystem, "get_file", lambda *_: pytest.fail("copied again"))
    assert contents(f"{bucket}/photos") == first


def test_file_that_was_replaced_is_copied_anew(bucket: str, encode: Any) -> None:
    before = open_source(f"{bucket}/photos", classes=False)
    assert before.content(0) == encode(1)
    fingerprint = before.fingerprint()
    fsspec.filesystem("memory").pipe("/bucket/photos/cat/1.png", encode(9))
    after = open_source(f"{bucket}/photos", classes=False)
    assert after.content(0) == encode(9)
    assert after.fingerprint() != fingerprint


def test_variable_moves_the_cache_folder(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMALTI_CACHE", str(tmp_path / "big disk"))
    contents(f"{bucket}/photos")
    assert len(list((tmp_path / "big disk" / "files").rglob("*.png"))) == 6


def test_fingerprint_of_a_list_does_not_ask_for_its_addresses(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list.txt").write_text("memory://elsewhere/a.png\n", encoding="utf-8")
    monkeypatch.setattr(MemoryFileSystem, "info", lambda *_: pytest.fail("asked"))
    assert open_source(f"{tmp_path}/list.txt", classes=False).fingerprint()


# What goes wrong


def test_copy_is_tried_three_times(bucket: str, encode: Any, monkeypatch: Any) -> None:
    get, attempts = MemoryFileSystem.get_file, []

    def fail_twice(self: Any, path: str, target: str) -> None:
        attempts.append(path)
        get(self, path, target)
        if len(attempts) < 3:
            Path(target).write_bytes(b"cut short")

    monkeypatch.setattr(MemoryFileSystem, "get_file", fail_twice)
    assert open_source(f"{bucket}/photos", classes=False).content(0) == encode(1)
    assert len(attempts) == 3
    assert len(copies()) == 1


def test_listed_file_that_cannot_be_copied_ends_the_run(bucket: str, monkeypatch: Any) -> None:
    def fail(*_: object) -> None:
        raise ValueError("the line\nis down")

    monkeypatch.setattr(MemoryFileSystem, "get_file", fail)
    source = open_source(f"{bucket}/photos", classes=False)
    with pytest.raises(InputError, match=r"^cannot read .*/cat/1\.png: the line is down$"):
        source.read(0)
    assert copies() == []


def test_address_in_a_list_may_be_dead(bucket: str, tmp_path: Path, monkeypatch: Any) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("denied")

    (tmp_path / "list.txt").write_text("memory://dead/a.png\n", encoding="utf-8")
    source = open_source(f"{tmp_path}/list.txt", classes=False)
    with pytest.raises(BrokenImageError, match=r"^memory://dead/a\.png: it cannot be read \(No "):
        source.read(0)
    (tmp_path / "list.txt").write_text("memory://dead/b.png\n", encoding="utf-8")
    source = open_source(f"{tmp_path}/list.txt", classes=False)
    monkeypatch.setattr(MemoryFileSystem, "info", refuse)
    with pytest.raises(BrokenImageError, match=r"it cannot be read \(no permission to read"):
        source.read(0)


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("memory://nowhere/photos", r"'memory://nowhere/photos' does not exist; allowed are"),
        ("memory://bucket/{0..1}.tar", r"^memory://bucket/0\.tar does not exist, or nothing"),
        ("memory://bucket/*.jpg", r"^memory://bucket/\*\.jpg does not exist, or nothing"),
        ("memory://bucket/gone.txt", r"^cannot read memory://bucket/gone\.txt: No such file"),
        ("memory://bucket/photos/cat/1.png", "is no data set; give the folder it lies in"),
        ("s3://bucket/photos", r"^s3://bucket/photos needs a package more: pip install s3fs$"),
        ("gs://bucket/*.tar", r"^gs://bucket/\*\.tar needs a package more: pip install gcsfs$"),
        ("far://bucket/photos", r"^far://bucket/photos: far:// is not known; allowed are s3://"),
    ],
)
def test_wrong_address_is_one_line(bucket: str, spec: str, line: str) -> None:
    with pytest.raises(InputError, match=line) as told:
        open_source(spec, classes=False)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("spec", ["memory://bucket/photos", "memory://bucket/*.tar"])
def test_bucket_without_permission_is_one_line(bucket: str, monkeypatch: Any, spec: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("Access Denied")

    for name in ("isdir", "ls", "find", "glob"):
        monkeypatch.setattr(MemoryFileSystem, name, refuse)
    with pytest.raises(InputError, match=r"^no permission to read .*: Access Denied$"):
        open_source(spec, classes=False)


def test_hub_that_is_not_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smalti.hub.is_reachable", lambda: False)
    with pytest.raises(InputError, match=r"^cannot read hf://.*: the hub cannot be reached$"):
        open_source("hf://datasets/owner/name/photos", classes=False)


# HTTP


def test_folder_and_tar_are_read_over_http(
    served: str, tmp_path: Path, photos: Path, encode: Any, write_tar: Any
) -> None:
    pytest.importorskip("aiohttp")
    write_tar(tmp_path / "a.tar", {"0.png": encode(7)})
    assert contents(f"{served}/a.tar") == [encode(7)]
    assert contents(f"{served}/photos/") == contents(str(photos))


def test_workers_of_a_loader_copy_over_http(served: str, photos: Path) -> None:
    """In a forked process the connections of its parent are of no use."""
    pytest.importorskip("aiohttp")
    transform = TransformConfig(size=(8, 8))
    batches = []
    for spec in (f"{served}/photos/", str(photos)):
        dataset = ImageDataset([open_source(spec, classes=False)], transform, seed=0)
        batches.append(next(BatchLoader(dataset, 6, 0, workers=2).batches(0)).images)
    assert batches[0].equal(batches[1])


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("secret/a.tar", "^no permission to read http://.*/secret/a.tar: 403"),
        ("gone.tar", r"^http://.*/gone\.tar does not exist"),
    ],
)
def test_http_errors_are_one_line(served: str, path: str, line: str) -> None:
    pytest.importorskip("aiohttp")
    with pytest.raises(InputError, match=line):
        open_source(f"{served}/{path}", classes=False)


def test_server_that_is_down_is_no_missing_file() -> None:
    pytest.importorskip("aiohttp")
    with pytest.raises(InputError, match=r"^cannot read http://127\.0\.0\.1:9/a\.tar: Cannot conn"):
        open_source("http://127.0.0.1:9/a.tar", classes=False)

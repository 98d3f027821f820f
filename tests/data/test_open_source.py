"""Which kind a spec means, and what is said of a wrong one."""

from pathlib import Path
from typing import Any

import pytest

from smalti.config import InputError
from smalti.data.sources import open_source
from smalti.data.sources.base import SOURCES
from smalti.data.sources.folder import FolderSource
from smalti.data.sources.parquet import ParquetSource
from smalti.data.sources.webdataset import WebDatasetSource


@pytest.fixture
def shards(tmp_path: Path, encode: Any, write_tar: Any) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    for number in range(4):
        write_tar(folder / f"s-{number:03}.tar", {"0.png": encode(number)})
    return folder


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("s-{000..002}.tar", [0, 1, 2]),
        ("s-{003,001}.tar", [3, 1]),
        ("s-00[12].tar", [1, 2]),
        ("*.tar", [0, 1, 2, 3]),
        ("", [0, 1, 2, 3]),
    ],
)
def test_patterns_name_several_shards(
    shards: Path, encode: Any, pattern: str, expected: list[int]
) -> None:
    source = open_source(str(shards / pattern), classes=False)
    assert isinstance(source, WebDatasetSource)
    assert [source.read(i).content for i in range(len(source))] == [encode(n) for n in expected]


def test_missing_shard_of_a_range_is_named(shards: Path) -> None:
    with pytest.raises(InputError, match=r"s-004\.tar does not exist"):
        open_source(str(shards / "s-{000..004}.tar"), classes=False)


def test_brace_without_partner_is_an_error(shards: Path) -> None:
    with pytest.raises(InputError, match="brace"):
        open_source(str(shards / "s-{000..002.tar"), classes=False)


def test_folder_of_parquet_is_parquet(tmp_path: Path, encode: Any, write_parquet: Any) -> None:
    write_parquet(tmp_path / "a.parquet", [encode(0)])
    assert isinstance(open_source(str(tmp_path), classes=False), ParquetSource)


def test_archive_beside_pictures_does_not_hide_them(photos: Path, write_tar: Any) -> None:
    write_tar(photos / "backup.tar", {"x.txt": b""})
    source = open_source(str(photos), classes=False)
    assert isinstance(source, FolderSource)
    assert len(source) == 6


def test_home_folder_is_expanded(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photos.parent))
    assert len(open_source("~/photos", classes=False)) == 6


@pytest.mark.parametrize("spec", ["gone", "gone/deeper/photos", "/gone/photos", "gone\nline"])
def test_missing_path_is_named_with_what_is_allowed(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^'/?gone[^\n]*' does not exist; allowed are a folder"):
        open_source(spec, classes=False)


def test_single_image_hints_at_its_folder(photos: Path) -> None:
    with pytest.raises(InputError, match="give the folder it lies in"):
        open_source(str(photos / "cat/1.png"), classes=False)


def test_unknown_kind_of_file_lists_the_kinds(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.zip is no data set; allowed are a folder"):
        open_source(str(tmp_path / "a.zip"), classes=False)


@pytest.mark.parametrize(
    "spec",
    [
        *("{photos}", "{photos}/x.txt", "a.tar", "x/a.tar", "x/a.parquet", "x/a.txt", "x/y"),
        *("{photos}/*.png", "x/{{a,b}}.jpg", "x/*.tar", "x/y:train[:9]", "*.txt"),
    ],
)
def test_no_two_kinds_accept_a_spec(spec: str, photos: Path) -> None:
    spec = spec.format(photos=photos)
    assert len([kind for kind in SOURCES if SOURCES[kind].accepts(spec)]) == 1

"""Parquet in the Hugging Face layout."""

from pathlib import Path
from typing import Any

import pytest

from smalti.data.decode import BrokenImageError, decode_image
from smalti.data.sources import ParquetSource
from smalti.data.sources.parquet import _RowGroup, _RowGroupCache
from smalti.types import InputError


def test_rows_of_several_files_follow_each_other(
    tmp_path: Path, encode: Any, write_parquet: Any
) -> None:
    write_parquet(tmp_path / "b.parquet", [encode(n) for n in range(3, 8)], column="img")
    write_parquet(tmp_path / "a.parquet", [encode(n) for n in range(3)])
    source = ParquetSource(str(tmp_path), classes=False)
    assert [source.read(i).content for i in range(8)] == [encode(n) for n in range(8)]
    assert source.name(2) == "a.parquet:2"
    assert source.name(7) == "b.parquet:4"


def test_numbers_are_the_names_without_metadata(
    tmp_path: Path, encode: Any, write_parquet: Any
) -> None:
    write_parquet(tmp_path / "a.parquet", [encode(0), encode(1)], [2, 0])
    source = ParquetSource(str(tmp_path / "a.parquet"), classes=True)
    assert source.class_names == ("0", "1", "2")
    assert [source.label(0), source.label(1)] == [2, 0]


def test_text_labels_are_numbered_alphabetically(
    tmp_path: Path, encode: Any, write_parquet: Any
) -> None:
    write_parquet(tmp_path / "a.parquet", [encode(0), encode(1)], ["dog", "cat"])
    source = ParquetSource(str(tmp_path / "a.parquet"), classes=True)
    assert source.class_names == ("cat", "dog")
    assert [source.label(0), source.label(1)] == [1, 0]


@pytest.mark.parametrize("label", [-1, 2, None])
def test_label_outside_the_classes_is_named(
    tmp_path: Path, encode: Any, write_parquet: Any, label: int | None
) -> None:
    write_parquet(tmp_path / "a.parquet", [encode(0), encode(1)], [0, label], ["a", "b"])
    with pytest.raises(InputError, match=rf"image 1 of .*a\.parquet has class {label}; .* 0 to 1"):
        ParquetSource(str(tmp_path / "a.parquet"), classes=True)


def test_missing_label_column_lists_the_columns(
    tmp_path: Path, encode: Any, write_parquet: Any
) -> None:
    write_parquet(tmp_path / "a.parquet", [encode(0)])
    with pytest.raises(InputError, match="no column 'label'; it has image"):
        ParquetSource(str(tmp_path / "a.parquet"), classes=True)


def test_missing_image_column_lists_the_columns(
    tmp_path: Path, encode: Any, write_parquet: Any
) -> None:
    write_parquet(tmp_path / "a.parquet", [encode(0)], column="photo")
    with pytest.raises(InputError, match=r"no column image or img .* it has photo"):
        ParquetSource(str(tmp_path / "a.parquet"), classes=False)


def test_row_without_bytes_is_broken(tmp_path: Path, encode: Any, write_parquet: Any) -> None:
    write_parquet(tmp_path / "a.parquet", [encode(0), None])
    source = ParquetSource(str(tmp_path / "a.parquet"), classes=False)
    with pytest.raises(BrokenImageError, match=r"a\.parquet:1: it is empty"):
        decode_image(source.content(1), source.key(1))


def test_damaged_row_group_breaks_its_images_only(
    tmp_path: Path, encode: Any, write_parquet: Any
) -> None:
    path = tmp_path / "a.parquet"
    write_parquet(path, [encode(n) for n in range(4)])
    content = bytearray(path.read_bytes())
    content[4:60] = bytes(56)  # the first page's header
    path.write_bytes(content)
    source = ParquetSource(str(path), classes=False)
    with pytest.raises(BrokenImageError, match=r"a\.parquet:0: its row group cannot be read"):
        source.read(0)
    assert source.read(3).content == encode(3)


@pytest.mark.parametrize("content", [b"", b"a text", b"PAR1 cut short"])
def test_file_that_is_no_parquet_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(InputError, match="is no Parquet file, or is cut short"):
        ParquetSource(str(tmp_path / "a.parquet"), classes=False)


def test_file_without_rows_is_an_error(tmp_path: Path, write_parquet: Any) -> None:
    write_parquet(tmp_path / "a.parquet", [])
    with pytest.raises(InputError, match="no rows"):
        ParquetSource(str(tmp_path / "a.parquet"), classes=False)


class Column:
    nbytes = 10


def test_cache_keeps_the_most_recent_row_groups_within_its_budget() -> None:
    cache = _RowGroupCache(budget_bytes=20)
    groups = [_RowGroup(0, number, 0, 0) for number in range(3)]
    cache.put(groups[0], Column())
    cache.put(groups[1], Column())
    cache.get(groups[0])
    cache.put(groups[2], Column())
    assert [cache.get(group) is not None for group in groups] == [True, False, True]


def test_cache_keeps_one_row_group_over_its_budget() -> None:
    cache = _RowGroupCache(budget_bytes=1)
    group = _RowGroup(0, 0, 0, 0)
    cache.put(group, Column())
    assert cache.get(group) is not None

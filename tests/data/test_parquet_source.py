"""Parquet in the Hugging Face layout."""

from pathlib import Path
from typing import Any

import pytest

from smalti.config import InputError
from smalti.data.decode import BrokenImageError, decode_image
from smalti.data.sources import open_source
from smalti.data.sources.parquet import ParquetSource, _RowGroup, _RowGroupCache

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


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


@pytest.mark.parametrize("label", [-1, 2])
def test_label_outside_the_classes_is_named(
    tmp_path: Path, encode: Any, write_parquet: Any, label: int
) -> None:
    write_parquet(tmp_path / "a.parquet", [encode(0), encode(1)], [0, label], ["a", "b"])
    with pytest.raises(InputError, match=rf"image 1 of .*a\.parquet has class {label}; .* 0 to 1"):
        ParquetSource(str(tmp_path / "a.parquet"), classes=True)


@pytest.mark.parametrize(
    ("labels", "kind", "names", "numbers"),
    [
        ([1.0, 0.0], "float64", ("0", "1"), [1, 0]),
        ([1, 0], "decimal128(3, 0)", ("0", "1"), [1, 0]),
        ([1, 0], "uint8", ("0", "1"), [1, 0]),
        ([True, False], "bool", ("false", "true"), [1, 0]),
        (["b", "a"], "string", ("a", "b"), [1, 0]),
        (["10", "9"], "large_string", ("9", "10"), [1, 0]),
        (["b", "a"], "dictionary", ("a", "b"), [1, 0]),
    ],
)
def test_labels_of_any_kind_of_column_are_classes(
    tmp_path: Path, encode: Any, labels: list[Any], kind: str, names: Any, numbers: list[int]
) -> None:
    if kind == "dictionary":
        column = pa.array(labels).dictionary_encode()
    else:
        column = pa.array(labels, pa.decimal128(3, 0) if "decimal" in kind else kind)
    images = pa.array([encode(0), encode(1)])
    pq.write_table(pa.table({"image": images, "label": column}), tmp_path / "a.parquet")
    source = ParquetSource(str(tmp_path / "a.parquet"), classes=True)
    assert source.class_names == names
    assert [source.label(0), source.label(1)] == numbers
    assert all(type(source.label(index)) is int for index in range(2))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, None], r"image 1 of .*a\.parquet has no class; fill the gap"),
        ([0.0, None], r"image 1 of .*a\.parquet has no class; fill the gap"),
        ([0.0, float("nan")], r"image 1 of .*a\.parquet has no class; fill the gap"),
        (["a", None], r"image 1 of .*a\.parquet has no class; fill the gap"),
        (["a", ""], r"image 1 of .*a\.parquet has no class; fill the gap"),
        ([None, None], r"image 0 of .*a\.parquet has no class; fill the gap"),
        ([0.0, 0.5], "image 1 of .* has the class 0.5; allowed are names and whole numbers"),
        ([0.0, float("inf")], "image 1 of .* has the class inf"),
        ([b"a", b"b"], "image 0 of .* has the class b'a'"),
        (
            [[0], [1]],
            r"column 'label' of .*a\.parquet holds list<.*>; a class is one name",
        ),
        ([{"id": 0}, {"id": 1}], "column 'label' of .* holds struct<id: int64>; a class is one"),
    ],
)
def test_labels_that_are_no_classes_are_named(
    tmp_path: Path, encode: Any, labels: list[Any], message: str
) -> None:
    images = pa.array([encode(0), encode(1)])
    pq.write_table(pa.table({"image": images, "label": labels}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message) as caught:
        ParquetSource(str(tmp_path / "a.parquet"), classes=True)
    assert "\n" not in str(caught.value)


def test_tables_with_names_and_numbers_are_refused(
    tmp_path: Path, encode: Any, write_parquet: Any
) -> None:
    write_parquet(tmp_path / "a.parquet", [encode(0)], ["cat"])
    write_parquet(tmp_path / "b.parquet", [encode(0)], [3])
    with pytest.raises(InputError, match=r"are names \(cat\) and numbers \(3\); write all in one"):
        ParquetSource(str(tmp_path), classes=True)


@pytest.mark.parametrize(
    "metadata", [b"no json", b"[]", b'{"info": null}', b'{"info": {"features": {"label": 3}}}']
)
def test_metadata_of_another_form_is_no_list_of_names(
    tmp_path: Path, encode: Any, metadata: bytes
) -> None:
    table = pa.table({"image": pa.array([encode(0)]), "label": [1]})
    table = table.replace_schema_metadata({b"huggingface": metadata})
    pq.write_table(table, tmp_path / "a.parquet")
    assert ParquetSource(str(tmp_path / "a.parquet"), classes=True).class_names == ("0", "1")


# Cells that are no structs


def test_cells_may_be_the_images_themselves(tmp_path: Path, encode: Any) -> None:
    pq.write_table(pa.table({"image": [encode(0), encode(1)]}), tmp_path / "a.parquet")
    source = ParquetSource(str(tmp_path / "a.parquet"), classes=False)
    assert [source.content(0), source.content(1)] == [encode(0), encode(1)]


def path_cells(paths: list[str], form: str) -> Any:
    if form == "text":
        return pa.array(paths)
    if form == "dictionary":
        return pa.array(paths).dictionary_encode()
    bytes_type = pa.null() if form == "struct without bytes" else pa.binary()
    struct = pa.struct([("bytes", bytes_type), ("path", pa.string())])
    return pa.array([{"bytes": None, "path": path} for path in paths], struct)


@pytest.mark.parametrize("form", ["text", "dictionary", "struct", "struct without bytes"])
def test_paths_in_cells_are_relative_to_the_table_or_absolute(
    tmp_path: Path, encode: Any, photos: Path, form: str
) -> None:
    (tmp_path / "sub").mkdir()
    paths = ["../photos/cat/1.png", str(photos / "dog/2.png")]
    pq.write_table(pa.table({"image": path_cells(paths, form)}), tmp_path / "sub/a.parquet")
    source = open_source(f"{tmp_path}/sub/a.parquet", classes=False)
    assert [source.read(n).content for n in range(2)] == [encode(1), encode(2)]
    assert source.name(1) == "a.parquet:1"


def test_fingerprint_follows_the_files_that_cells_name(tmp_path: Path, photos: Path) -> None:
    paths = ["photos/cat/1.png"]
    pq.write_table(pa.table({"image": path_cells(paths, "text")}), tmp_path / "a.parquet")
    before = open_source(f"{tmp_path}/a.parquet", classes=False).fingerprint()
    assert open_source(f"{tmp_path}/a.parquet", classes=False).fingerprint() == before
    (photos / "cat/1.png").write_bytes(b"another")
    assert open_source(f"{tmp_path}/a.parquet", classes=False).fingerprint() != before


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("gone.png", r"its file gone\.png cannot be read \(No such file .*relative to the table"),
        ("", "it is empty"),
        ("a\0.png", r"its file a\\x00\.png cannot be read"),
        ("memory://gone/a.png", r"its file memory://gone/a\.png cannot be read \(No such [^;]*\)$"),
    ],
)
def test_cells_that_name_no_file_are_broken(tmp_path: Path, path: str, reason: str) -> None:
    pq.write_table(pa.table({"image": [path]}), tmp_path / "a.parquet")
    source = open_source(f"{tmp_path}/a.parquet", classes=False)
    assert source.fingerprint()
    with pytest.raises(BrokenImageError, match=rf"a\.parquet:0: {reason}"):
        decode_image(source.read(0).content, source.key(0))


def test_column_of_another_kind_is_named_with_it(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [[1, 2]]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"of images: .*; it has a column image of list<"):
        open_source(f"{tmp_path}/a.parquet", classes=False)


def test_text_in_a_column_of_labels_is_no_map(tmp_path: Path, encode: Any) -> None:
    table = pa.table({"image": [encode(0)], "label": ["cat"], "mask": ["m.png"]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert open_source(f"{tmp_path}/a.parquet", classes=True).parts == {}


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

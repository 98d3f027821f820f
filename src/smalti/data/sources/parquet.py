"""Parquet in the Hugging Face image layout: a column of {bytes, path}, perhaps one of labels."""

import bisect
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smalti.data.decode import BrokenImageError
from smalti.data.sources.base import (
    SOURCES,
    ImageSource,
    files_fingerprint,
    printable,
    require_images,
)
from smalti.data.sources.classes import ClassTable, classes_from_names, classes_from_numbers
from smalti.data.sources.part_names import COLUMNS, IMAGES, KEYPOINTS, columns_of
from smalti.data.sources.shards import find_shards, names_shards, relative_names
from smalti.types import InputError

LABEL_COLUMN = "label"
CACHE_BYTES = 256 * 2**20
"""Encoded images kept in memory by each process; one row group is kept even if it is larger."""


@dataclass(frozen=True, slots=True)
class _RowGroup:
    """Rows that Parquet stores, and can only read, together."""

    shard: int
    group: int
    first_row: int
    """Row in the file, of the group's first."""
    start: int
    """Image number in the source, of the group's first."""


@SOURCES.register("parquet")
class ParquetSource(ImageSource):
    """Rows of one or several Parquet files.

    The image column is called `image` or `img`, those of maps `segmentation` and `depth`, that of
    poses `keypoints` (JSON), the label column `label` (numbers or names). Names of the classes come
    from the metadata that Hugging Face writes; otherwise the numbers are names.
    Row groups are read when one of their images is wanted, and the recent ones kept.

    Raises:
        InputError: a file is missing or no Parquet, has no such column, or no row.
    """

    def __init__(self, spec: str, classes: bool, part: str = IMAGES) -> None:
        self.spec = spec
        self._part = part
        pq = _pyarrow_parquet()
        self._paths = find_shards(spec, ".parquet")
        self.location, self._names = relative_names(self._paths)
        self._files: dict[int, Any] = {}
        self._cache = _RowGroupCache(CACHE_BYTES)
        self._groups: list[_RowGroup] = []
        self._length = 0
        for shard, path in enumerate(self._paths):
            self._add(shard, _checked(pq, path, part))
        self.parts = _parts(self._files[0])
        self._starts = [group.start for group in self._groups]
        require_images(self._length, spec, "the Parquet files have no rows")
        self._labels: tuple[int, ...] | None = None
        if classes:
            table = self._read_classes(spec)
            self.class_names, self._labels = table.names, table.labels

    @classmethod
    def accepts(cls, spec: str) -> bool:
        """Names of Parquet files, or a folder of them."""
        return names_shards(spec, ".parquet")

    def __len__(self) -> int:
        return self._length

    def name(self, index: int) -> str:
        """`file.parquet:row`."""
        group = self._group_of(index)
        return f"{self._names[group.shard]}:{group.first_row + index - group.start}"

    def label(self, index: int) -> int | None:
        """Value of the label column."""
        return None if self._labels is None else self._labels[index]

    def content(self, index: int) -> bytes:
        """The cell, from its row group."""
        group = self._group_of(index)
        column = self._cache.get(group)
        if column is None:
            column = self._read_group(group, self.key(index))
            self._cache.put(group, column)
        value = column[index - group.start].as_py()
        if isinstance(value, str):
            return value.encode()
        # A row may be null, or name an outside file instead of holding one: nothing to decode.
        return (value.get("bytes") if isinstance(value, dict) else value) or b""

    def fingerprint(self) -> str:
        """Of names, sizes and times of the Parquet files."""
        return files_fingerprint(self.location, self._names)

    def __getstate__(self) -> dict[str, Any]:
        # Open files and cached rows stay in the process that made them.
        return self.__dict__ | {"_files": {}, "_cache": _RowGroupCache(CACHE_BYTES)}

    def _group_of(self, index: int) -> _RowGroup:
        return self._groups[bisect.bisect_right(self._starts, index) - 1]

    def _add(self, shard: int, file: Any) -> None:
        self._files[shard] = file
        first_row = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if rows:
                self._groups.append(_RowGroup(shard, group, first_row, self._length))
            first_row += rows
            self._length += rows

    def _read_group(self, group: _RowGroup, key: str) -> Any:
        import pyarrow as pa

        if group.shard not in self._files:
            self._files[group.shard] = _open(_pyarrow_parquet(), self._paths[group.shard])
        file = self._files[group.shard]
        column = _column(file, self._paths[group.shard], self._part)
        if _holds_images(file.schema_arrow, column):
            column = f"{column}.bytes"
        try:
            # One thread: pyarrow's pool does not survive a fork into a loader's worker.
            table = file.read_row_group(group.group, columns=[column], use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise BrokenImageError(key, f"its row group cannot be read ({error})") from error
        return table.column(0)

    def _read_classes(self, spec: str) -> ClassTable:
        values: list[Any] = []
        for path, file in zip(self._paths, self._files.values(), strict=True):
            if LABEL_COLUMN not in file.schema_arrow.names:
                raise InputError(
                    f"classes are asked for, but {printable(path)} has no column {LABEL_COLUMN!r}; "
                    f"it has {', '.join(file.schema_arrow.names)}"
                )
            values += file.read([LABEL_COLUMN], use_threads=False).column(0).to_pylist()
        if all(isinstance(value, str) for value in values):
            return classes_from_names(values)
        names = _hugging_face_names(self._files[0].schema_arrow)
        return classes_from_numbers(values, names, printable(spec))


class _RowGroupCache:
    """The most recently used row groups, up to a number of bytes."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._columns: OrderedDict[_RowGroup, Any] = OrderedDict()

    def get(self, group: _RowGroup) -> Any | None:
        if group not in self._columns:
            return None
        self._columns.move_to_end(group)
        return self._columns[group]

    def put(self, group: _RowGroup, column: Any) -> None:
        self._columns[group] = column
        used = sum(kept.nbytes for kept in self._columns.values())
        while used > self._budget_bytes and len(self._columns) > 1:
            _, oldest = self._columns.popitem(last=False)
            used -= oldest.nbytes


def _pyarrow_parquet() -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise InputError("Parquet needs pyarrow: pip install 'smalti[data]'") from error
    return pyarrow.parquet


def _open(pq: Any, path: str) -> Any:
    # Mapped: a file position would be shared between forked workers.
    return pq.ParquetFile(path, memory_map=True)


def _checked(pq: Any, path: str, part: str) -> Any:
    """The open file, known to be Parquet and to have the column of a part."""
    import pyarrow as pa

    try:
        file = _open(pq, path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{printable(path)} is no Parquet file, or is cut short") from error
    _column(file, path, part)
    return file


def _column(file: Any, path: str, part: str) -> str:
    schema = file.schema_arrow
    for name in columns_of(part, schema.names):
        if _holds(schema, name, part):
            return name
    needed = "images (a struct with the field bytes)"
    if part == KEYPOINTS:
        needed = "JSON (strings, bytes, or a struct with the field bytes)"
    raise InputError(
        f"{printable(path)} has no column {' or '.join(COLUMNS[part])} of {needed}; it has "
        f"{', '.join(schema.names)}"
    )


def _parts(file: Any) -> Mapping[str, frozenset[str]]:
    """All parts that there are columns of; none where there is only one."""
    schema = file.schema_arrow
    parts = {
        part: frozenset[str]()
        for part in COLUMNS
        if any(_holds(schema, name, part) for name in columns_of(part, schema.names))
    }
    return parts if len(parts) > 1 else {}


def _holds(schema: Any, name: str, part: str) -> bool:
    """Whether a column has what a part is made of."""
    import pyarrow as pa

    if _holds_images(schema, name):
        return True
    if part != KEYPOINTS or name not in schema.names:
        return False
    kind = schema.field(name).type
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)
    return any(is_text(kind) for is_text in texts)


def _holds_images(schema: Any, name: str) -> bool:
    import pyarrow as pa

    if name not in schema.names:
        return False
    kind = schema.field(name).type
    return bool(pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)


def _hugging_face_names(schema: Any) -> Sequence[str] | None:
    """Class names from the metadata that the `datasets` library writes into the file."""
    metadata = (schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    feature = json.loads(metadata).get("info", {}).get("features", {}).get(LABEL_COLUMN, {})
    names = feature.get("names")
    return [str(name) for name in names] if names else None

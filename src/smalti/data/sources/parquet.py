"""Parquet files in the Hugging Face layout: a column of {bytes, path}, perhaps one of labels."""

import bisect
import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from smalti.config import InputError
from smalti.data.decode import BrokenImageError
from smalti.data.sources.base import (
    SOURCES,
    ImageSource,
    files_fingerprint,
    printable,
    require_images,
)
from smalti.data.sources.classes import ClassTable, classes_from_cells
from smalti.data.sources.part_names import IMAGES, parts_of
from smalti.data.sources.remote import is_remote, joined, local_copy, open_file
from smalti.data.sources.shards import find_shards, names_shards, relative_names
from smalti.data.sources.table_columns import cell_content, column_of, find_column, holds_paths

LABEL_COLUMN = "label"
CACHE_BYTES = 256 * 2**20
"""Most bytes of images in each process's cache; one row group stays even if it is larger."""


@dataclass(frozen=True, slots=True)
class _RowGroup:
    """Rows that Parquet stores together and can only read together."""

    shard: int
    group: int
    first_row: int
    """Number in the file of the group's first row."""
    start: int
    """Number in the source of the group's first image."""


@SOURCES.register("parquet")
class ParquetSource(ImageSource):
    """Rows of one or several Parquet files.

    The image column is called `image` or `img`, those of maps `segmentation` and `depth`, that of
    poses `keypoints` (JSON), the label column `label` (numbers or names). A cell holds the image,
    or its path relative to the table. Names of the classes come from the metadata that Hugging
    Face writes; otherwise the numbers are names.
    A row group is read when one of its images is needed, and recent groups stay in memory. Of files
    that lie elsewhere, opening reads the ends, and the labels if there are classes; a file is
    copied when the first of its images is needed.

    Raises:
        InputError: a file is missing, is not Parquet, or has no such column or no row.
    """

    def __init__(self, spec: str, classes: bool, part: str = IMAGES) -> None:
        self.spec = spec
        self._part = part
        _require_pyarrow()
        self._paths = find_shards(spec, ".parquet")
        self.location, self._names = relative_names(self._paths)
        self._files = {shard: _checked(path, part) for shard, path in enumerate(self._paths)}
        self._cache = _RowGroupCache(CACHE_BYTES)
        self._groups: list[_RowGroup] = []
        self._columns: list[str] = []
        self._length = 0
        for shard, file in self._files.items():
            self._add(shard, file)
        self.parts = parts_of(partial(find_column, self._files[0].schema_arrow))
        self._starts = [group.start for group in self._groups]
        require_images(self._length, spec, "the Parquet files have no rows")
        if classes:
            self.class_names, self.labels = self._read_classes(spec)
        self._names_files = {
            shard
            for shard, file in self._files.items()
            if holds_paths(file.schema_arrow, self._columns[shard], part)
        }
        self._files = {n: file for n, file in self._files.items() if not is_remote(self._paths[n])}

    @classmethod
    def accepts(cls, spec: str) -> bool:
        """Whether `spec` names Parquet files or a folder of them."""
        return names_shards(spec, ".parquet")

    def __len__(self) -> int:
        return self._length

    def name(self, index: int) -> str:
        """Name of an image, `file.parquet:row`."""
        group = self._group_of(index)
        return f"{self._names[group.shard]}:{group.first_row + index - group.start}"

    def content(self, index: int) -> bytes:
        """The bytes of an image, from the cell in its row group."""
        group = self._group_of(index)
        column = self._cache.get(group)
        if column is None:
            column = self._read_group(group, self.key(index))
            self._cache.put(group, column)
        folder = os.path.dirname(self._paths[group.shard])
        cell = column[index - group.start].as_py()
        return cell_content(cell, self._part, folder, self.key(index))

    def shards(self) -> list[tuple[str, int]]:
        """The Parquet files, with their numbers of rows."""
        return [
            (name, self._file(shard).metadata.num_rows) for shard, name in enumerate(self._names)
        ]

    def fingerprint(self) -> str:
        """Hash of names, sizes and times of the Parquet files and of the files that they name."""
        tables = files_fingerprint(self.location, self._names)
        outside = [path for shard in range(len(self._paths)) for path in self._paths_in(shard)]
        if not outside:
            return tables
        return hashlib.sha256(f"{tables}{files_fingerprint('', outside)}".encode()).hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        # Open files and cached rows stay in the process that made them.
        return self.__dict__ | {"_files": {}, "_cache": _RowGroupCache(CACHE_BYTES)}

    def _group_of(self, index: int) -> _RowGroup:
        return self._groups[bisect.bisect_right(self._starts, index) - 1]

    def _add(self, shard: int, file: Any) -> None:
        self._columns.append(column_of(file.schema_arrow, self._part, self._paths[shard]))
        first_row = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if rows:
                self._groups.append(_RowGroup(shard, group, first_row, self._length))
            first_row += rows
            self._length += rows

    def _read_group(self, group: _RowGroup, key: str) -> Any:
        import pyarrow as pa

        try:
            file, column = self._file(group.shard), self._columns[group.shard]
            # One thread: pyarrow's pool does not survive a fork into a loader's worker.
            table = file.read_row_group(group.group, columns=[column], use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise BrokenImageError(key, f"its row group cannot be read ({error})") from error
        return table.column(0)

    def _file(self, shard: int) -> Any:
        if shard not in self._files:
            self._files[shard] = _open(self._paths[shard])
        return self._files[shard]

    def _paths_in(self, shard: int) -> list[str]:
        """Paths of the files that a table names if its cells do not hold the images."""
        if shard not in self._names_files:
            return []
        column = self._columns[shard]
        cells = self._file(shard).read([column], use_threads=False).column(0).to_pylist()
        folder = os.path.dirname(self._paths[shard])
        return [joined(folder, path) for path in cells if path]

    def _read_classes(self, spec: str) -> ClassTable:
        cells: list[Any] = []
        for shard, file in self._files.items():
            cells += _read_labels(file, self._paths[shard])
        names = _hugging_face_names(self._files[0].schema_arrow)
        return classes_from_cells(cells, names, printable(spec))


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
        used = sum(cached.nbytes for cached in self._columns.values())
        while used > self._budget_bytes and len(self._columns) > 1:
            _, oldest = self._columns.popitem(last=False)
            used -= oldest.nbytes


def _require_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise InputError("Parquet needs pyarrow: pip install 'smalti[data]'") from error


def _open(path: str) -> Any:
    import pyarrow.parquet

    # Mapped: a file position would be shared between forked workers.
    here = local_copy(path) if is_remote(path) else path
    return pyarrow.parquet.ParquetFile(here, memory_map=True)


def _opened_there(path: str) -> Any:
    """A file that lies elsewhere, of which only the parts that are asked for are read."""
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(open_file(path))


def _checked(path: str, part: str) -> Any:
    """Open a file; refuse it if it is not Parquet or has no column of a part."""
    import pyarrow as pa

    try:
        file = _opened_there(path) if is_remote(path) else _open(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{printable(path)} is no Parquet file, or is cut short") from error
    column_of(file.schema_arrow, part, path)
    return file


def _read_labels(file: Any, path: str) -> list[Any]:
    import pyarrow as pa

    schema = file.schema_arrow
    if LABEL_COLUMN not in schema.names:
        raise InputError(
            f"classes are asked for, but {printable(path)} has no column {LABEL_COLUMN!r}; it has "
            f"{', '.join(schema.names)}"
        )
    kind = schema.field(LABEL_COLUMN).type
    if pa.types.is_nested(kind):
        raise InputError(
            f"the column {LABEL_COLUMN!r} of {printable(path)} holds {kind}; a class is one name "
            "or whole number"
        )
    try:
        cells: list[Any] = file.read([LABEL_COLUMN], use_threads=False).column(0).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"the column {LABEL_COLUMN!r} of {printable(path)} cannot be read ({error})"
        ) from error
    return cells


def _hugging_face_names(schema: Any) -> Sequence[str] | None:
    """Class names from the metadata that the `datasets` library writes into the file."""
    metadata = (schema.metadata or {}).get(b"huggingface", b"")
    try:
        names = json.loads(metadata)["info"]["features"][LABEL_COLUMN]["names"]
        return [str(name) for name in names] or None
    except (ValueError, KeyError, TypeError):  # it has none, or is of another program
        return None

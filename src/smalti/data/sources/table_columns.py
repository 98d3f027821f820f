"""Columns of a Parquet file: which one holds a part of the data set, and what its cells are."""

from typing import Any

from smalti.config import InputError
from smalti.data.decode import BrokenImageError
from smalti.data.sources.base import printable, read_regular_file
from smalti.data.sources.part_names import COLUMNS, KEYPOINTS, columns_of
from smalti.data.sources.remote import is_remote, joined

NEEDED = "images: a struct with the field bytes, binary, or the paths of files"
NEEDED_OF_KEYPOINTS = "JSON: strings, bytes, or a struct with the field bytes"


def column_of(schema: Any, part: str, path: str) -> str:
    """Find the name of the column of a part in pyarrow's schema of a table.

    Raises:
        InputError: there is no such column, or none that can hold the part.
    """
    column = find_column(schema, part)
    if column is not None:
        return column
    named = [f"{name} of {schema.field(name).type}" for name in columns_of(part, schema.names)]
    has = f"a column {', '.join(named)}" if named else ", ".join(schema.names)
    needed = NEEDED_OF_KEYPOINTS if part == KEYPOINTS else NEEDED
    raise InputError(
        f"{printable(path)} has no column {' or '.join(COLUMNS[part])} of {needed}; it has {has}"
    )


def holds_paths(schema: Any, column: str, part: str) -> bool:
    """Whether the cells of a part's column are paths of files."""
    return part != KEYPOINTS and _is_text(schema.field(column).type)


def cell_content(cell: Any, part: str, folder: str, key: str) -> bytes:
    """The bytes in a cell of a part's column, or of the file that it names; none if it is empty.

    Paths are relative to the folder of the table; `key` names the cell in messages.

    Raises:
        BrokenImageError: the file that it names cannot be read.
    """
    if isinstance(cell, dict):
        cell = cell.get("bytes") or cell.get("path")
    if not isinstance(cell, str) or not cell:
        return cell or b""
    return cell.encode() if part == KEYPOINTS else _file_content(folder, cell, key)


def _file_content(folder: str, path: str, key: str) -> bytes:
    try:
        return read_regular_file(joined(folder, path))
    except InputError:  # its place cannot be reached
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        hint = "" if is_remote(path) else "; paths are relative to the table"
        raise BrokenImageError(
            key, f"its file {printable(path)} cannot be read ({reason}){hint}"
        ) from error


def find_column(schema: Any, part: str) -> str | None:
    """The name of the column of a part, or None if no column can hold it."""
    for name in columns_of(part, schema.names):
        kind = schema.field(name).type
        # A column of another name may well be text or bytes of something else.
        is_exact = name in COLUMNS[part]
        if _has_bytes(kind) or (is_exact and (_is_text(kind) or _is_binary(kind))):
            return name
    return None


def _has_bytes(kind: Any) -> bool:
    """Whether cells are structs that hold bytes or name a file, as Hugging Face writes them."""
    import pyarrow as pa

    if not pa.types.is_struct(kind):
        return False
    fields = {field.name: field.type for field in kind}
    names_files = _is_text(fields.get("path", pa.null()))
    held = fields.get("bytes")
    return held is not None and (_is_binary(held) or (pa.types.is_null(held) and names_files))


def _is_binary(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))

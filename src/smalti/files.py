"""Writing files so that a crash, a signal or a full disk leaves the old ones whole.

Everything is written beside its place under a temporary name and renamed.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from smalti.types import InputError

TEMPORARY = ".tmp-"  # prefix of what is being written; anything so called is rubbish after a crash

_DISK_ERRORS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EROFS: "the file system is read-only",
    errno.EFBIG: "the file is larger than is allowed there",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder, not a file",
    errno.ENAMETOOLONG: "the name is too long",
}


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what a disk or a permission refuses into an InputError that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_ERRORS:
            raise InputError(f"cannot write {path}: {_DISK_ERRORS[error.errno]}") from error
        raise


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; what was written to it takes its place at the end.

    The temporary name keeps the suffix, so that savers which look at it choose the same format.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`; it takes its place, and that of an older one, at the end.

    Raises:
        InputError: the disk is full or the parent cannot be written.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    old = path.with_name(f"{TEMPORARY}{os.getpid()}-old-{path.name}")
    with disk_errors(path):
        # A killed process of our number (in a container they recur) may have left its own.
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for written in temporary.rglob("*"):
                if written.is_file():
                    with written.open("rb") as file:
                        os.fsync(file.fileno())
            if path.exists():
                path.rename(old)
            temporary.rename(path)
        finally:
            if old.exists() and not path.exists():
                old.rename(path)
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def json_text(value: object, indent: int | None = None) -> str:
    """A value as JSON. Numbers that are NaN or infinite become null: JSON has no word for them."""
    return json.dumps(_with_null(value), indent=indent, allow_nan=False)


def _with_null(value: object) -> object:
    if isinstance(value, dict):
        return {key: _with_null(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_with_null(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

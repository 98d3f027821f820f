"""Writes files so that a crash, a signal or a full disk leaves the old files intact.

Every file is written under a temporary name beside its place and then renamed.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from smalti.errors import InputError

TEMPORARY = ".tmp-"  # prefix of what is being written; followed by the number of its process
_OLD_FOLDER = re.compile(re.escape(TEMPORARY) + r"\d+-[0-9a-f]+\.old-(.+)")

IS_WINDOWS = os.name == "nt"
OPEN_FILE_SECONDS = 5.0
"""Seconds to wait, on Windows, until another program closes a file that is to be replaced."""

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


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made or written, or whose disk is full.

    Raises:
        InputError: it cannot be written; nothing was changed.
    """
    existing = existing_part(folder)
    if not existing.is_dir():
        raise InputError(f"cannot write {folder}: {existing} is a file, not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"cannot write {folder}: no permission to write there")
    if shutil.disk_usage(existing).free < 2**24:
        raise InputError(f"cannot write {folder}: the disk is full")


def existing_part(path: Path) -> Path:
    """The path itself if it exists, else the nearest of its parents that does."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Context that turns errors of disk and permissions into an InputError that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        reason = _DISK_ERRORS[error.errno]
        if IS_WINDOWS and error.errno == errno.EACCES:  # the same error there
            reason += ", or another program has it open"
        raise InputError(f"cannot write {path}: {reason}") from error


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Context with a temporary path beside `path`; its file replaces `path` at the end.

    The temporary name keeps the suffix, so that savers which look at it choose the same format.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    temporary = path.with_name(f"{_own_prefix()}-{path.name}")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _flush(temporary)
            replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Context with a temporary folder beside `path`; it replaces `path` at the end.

    Raises:
        InputError: the disk is full or the parent cannot be written.
    """
    prefix = _own_prefix()
    temporary, old = (path.with_name(f"{prefix}{mark}-{path.name}") for mark in ("", ".old"))
    with disk_errors(path):
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for written in temporary.rglob("*"):
                if written.is_file():
                    _flush(written)
            _replace_folder(temporary, path, old)
        except BaseException:
            if old.exists() and not path.exists():
                old.rename(path)
            shutil.rmtree(old, ignore_errors=True)
            raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        # It is not put back even where `path` is missing: another process is just replacing it.
        shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, value: object) -> None:
    """Write a value into a file as indented JSON; see `json_text`."""
    path.write_text(json_text(value, indent=2) + "\n", encoding="utf-8")


def json_text(value: object, indent: int | None = None) -> str:
    """A value as JSON. NaN and infinity become null, for JSON does not have them."""
    return json.dumps(_with_null(value), indent=indent, allow_nan=False)


def _with_null(value: object) -> object:
    if isinstance(value, dict):
        return {key: _with_null(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_with_null(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def replace(source: Path, target: Path) -> None:
    """Rename a file to `target`, which it replaces."""
    _retried(lambda: source.replace(target))


def _replace_folder(new: Path, path: Path, old: Path) -> None:
    """Rename a folder to `path`; a folder that was there is moved to `old`."""
    for _ in range(3):  # another process may do the same with its own
        with contextlib.suppress(FileNotFoundError):
            _retried(lambda: path.rename(old))
        try:
            _retried(lambda: new.rename(path))
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            shutil.rmtree(old, ignore_errors=True)
    raise InputError(f"cannot write {path}: other processes replace it again and again")


def _own_prefix() -> str:
    # Random too: two machines or containers that share a folder may have equal process numbers.
    return f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}"


def _flush(path: Path) -> None:
    """Write a file's content to the disk, before the file gets its name."""
    with path.open("r+b") as file:  # Windows flushes only what is open for writing
        os.fsync(file.fileno())


def _retried(rename: Callable[[], object]) -> None:
    """Rename, repeatedly on Windows, which refuses while any program has the file open."""
    end = time.monotonic() + OPEN_FILE_SECONDS
    while True:
        try:
            rename()
            return
        except PermissionError:
            if not IS_WINDOWS or time.monotonic() > end:
                raise
        time.sleep(0.05)


def remove_leftovers(folder: Path, process: int | None = None, min_age_seconds: float = 0) -> None:
    """Delete what killed processes were writing, and restore an old folder that they had moved.

    Args:
        folder: folder in which they wrote.
        process: number of a process that has ended, all of whose leftovers are deleted.
        min_age_seconds: age from which leftovers of all processes are deleted.
    """
    oldest = time.time() - min_age_seconds
    for leftover in folder.glob(f"{TEMPORARY}*") if folder.is_dir() else ():
        is_its = leftover.name.startswith(f"{TEMPORARY}{process}-")
        with contextlib.suppress(OSError):  # its writer was alive, and has just finished
            if is_its or leftover.stat().st_mtime <= oldest:
                _remove_leftover(leftover)


def _remove_leftover(leftover: Path) -> None:
    moved = _OLD_FOLDER.fullmatch(leftover.name)
    if moved and not leftover.with_name(moved[1]).exists():
        leftover.rename(leftover.with_name(moved[1]))
    elif leftover.is_dir():
        shutil.rmtree(leftover, ignore_errors=True)
    else:
        leftover.unlink(missing_ok=True)


@contextlib.contextmanager
def system_lock(path: Path, wait: bool = False) -> Iterator[bool | None]:
    """Context with a lock that the system releases when this process ends, however it ends.

    Args:
        path: an empty file that stands for what is locked; it is deleted afterwards.
        wait: whether to wait for another process that holds the lock.

    Yields:
        True with the lock, False if another process holds it, None if the file system has no locks.
    """
    lock = FileLock(path, fallback_to_soft=False)
    try:
        # Often enough for people: a waiting process asks a server that may be shared.
        lock.acquire(timeout=-1 if wait else 0, poll_interval=0.5)
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError):
        yield None
        return
    try:
        yield True
    finally:
        # While it is held: a process that opened the file before notices that it is gone.
        with contextlib.suppress(OSError):  # open files cannot be deleted on Windows
            path.unlink()
        lock.release()


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Files that lie elsewhere, named by addresses such as `s3://bucket/photos`, through fsspec.

A file is copied into the cache folder when its bytes are first needed, and read from there by all
processes. The name of a copy is a hash of the address and of the version of the file, so that a
file that is replaced is copied anew.
"""

import contextlib
import functools
import hashlib
import logging
import os
import posixpath
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from smalti import hub
from smalti.config import InputError
from smalti.files import atomic_file, disk_errors, system_lock
from smalti.paths import cache_folder

T = TypeVar("T")

logger = logging.getLogger(__name__)

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_HUB_DATA_SET = re.compile(r"hf://[^/]+/[^/]+")
PACKAGES = {"http": "aiohttp", "https": "aiohttp", "sftp": "paramiko", "ssh": "paramiko"}
"""Packages that fsspec's own file systems need; the others are named by their class."""
VERSION_FIELDS = (
    *("ETag", "etag", "blob_id", "md5Hash", "md5", "generation"),
    *("Last-Modified", "LastModified", "last_modified", "updated", "mtime", "created"),
)
"""Fields in which the file systems tell the version of a file; the first one present counts."""
WAITS = (1.0, 5.0)
"""Seconds before the second and the third attempt to copy a file."""
QUESTIONS_AT_ONCE = 16


class Version(NamedTuple):
    """What tells a file from another one of the same address."""

    size: int | None
    mark: str

    def __str__(self) -> str:
        return f"{self.size} {self.mark}"


_listed: dict[str, Version] = {}
"""The version of each file that this process has met when it opened a data set."""


def is_remote(path: str) -> bool:
    """Whether a path is the address of a file or folder; `hf://owner/name` is a hub data set."""
    return _ADDRESS.match(path) is not None and _HUB_DATA_SET.fullmatch(path) is None


def joined(folder: str, name: str) -> str:
    """A path below a folder, unless it is absolute or an address already."""
    return name if is_remote(name) else os.path.join(folder, name)


def is_folder(address: str) -> bool:
    """Whether an address is that of a folder.

    Raises:
        InputError: it cannot be asked for.
    """
    with contextlib.suppress(FileNotFoundError), _asking(address):
        system, path = _file_system(address)
        return bool(system.isdir(path))
    return False


def exists(address: str) -> bool:
    """Whether there is a file or folder of an address; the errors of `is_folder`."""
    with _asking(address):
        system, path = _file_system(address)
        return bool(system.exists(path))


def entries(folder: str) -> tuple[list[str], list[str]]:
    """Names of the folders and of the files right in a folder; the errors of `is_folder`."""
    with _asking(folder):
        system, path = _file_system(folder)
        found = system.ls(path, detail=True)
    folders = [_last(one["name"]) for one in found if one["type"] == "directory"]
    return folders, [_last(one["name"]) for one in found if one["type"] != "directory"]


def files_below(folder: str) -> list[str]:
    """Paths of the files below a folder, relative to it and sorted, without hidden ones.

    Raises:
        InputError: the folder cannot be listed.
    """
    with _asking(folder):
        system, path = _file_system(folder)
        found = system.find(path, detail=True)
    return sorted(_noted(folder, path, found))


def matches(patterns: Sequence[str]) -> list[list[str]]:
    """The addresses that each pattern matches, sorted, without hidden ones; none if there is none.

    They have `*`, `?`, `[...]` or `**`, or are addresses of files, which are asked for together.

    Raises:
        InputError: a pattern cannot be asked for.
    """
    with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as threads:
        return list(threads.map(_matches, patterns))


def _matches(pattern: str) -> list[str]:
    root = before_wildcards(pattern)
    if root == pattern:
        return [pattern] if _ask(pattern) is not None else []
    with _asking(pattern):
        system, path = _file_system(pattern)
        found = system.glob(path, detail=True)
        _, root_path = _file_system(root)
    return sorted(f"{root}/{name}" for name in _noted(root, root_path, found))


def before_wildcards(pattern: str) -> str:
    """The folder of an address before its first part with a wildcard; the whole one without any."""
    parts = pattern.split("/")
    plain = next((n for n, part in enumerate(parts) if re.search(r"[*?\[{]", part)), len(parts))
    return "/".join(parts[:plain])


def listed_version(address: str) -> str:
    """The version of a file that was met when a data set was opened, otherwise an empty text.

    Addresses in lists and tables are not asked for, since there may be millions.
    """
    return str(_listed.get(address, ""))


def open_file(address: str) -> Any:
    """A file object of a file, from its copy if there is one, otherwise without making one.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it cannot be asked for.
    """
    copy = _copy_of(address)
    if copy.is_file():
        return copy.open("rb")
    with _asking(address):
        system, path = _file_system(address)
        return system.open(path, "rb")


def read_part(address: str, start: int, size: int) -> bytes:
    """Some bytes of a file, from its copy if there is one, otherwise without making one.

    Where only whole files can be had, it is copied. The errors of `local_copy`.
    """
    copy = _copy_of(address)
    if not copy.is_file():
        content: bytes = _attempted(address, partial(_ask_for_part, address, start, start + size))
        if len(content) == size:
            return content
        copy = Path(local_copy(address))
    with copy.open("rb") as file:
        file.seek(start)
        return file.read(size)


def _ask_for_part(address: str, start: int, end: int) -> bytes:
    system, path = _file_system(address)
    content: bytes = system.cat_file(path, start, end)
    return content


def local_copy(address: str) -> str:
    """Path of the copy of a file in the cache folder, which is made if there is none.

    Raises:
        OSError: there is no such file; or it cannot be copied, and a list or table named it, whose
            addresses may be dead.
        InputError: it cannot be copied although its folder was listed, or the cache folder cannot
            be written.
    """
    copy = _copy_of(address)
    if not copy.is_file():
        with disk_errors(copy):
            copy.parent.mkdir(parents=True, exist_ok=True)
        with system_lock(copy.with_name(f".{copy.name}.lock"), wait=True):
            if not copy.is_file():
                _attempted(address, partial(_copy, address, copy))
    return str(copy)


def _copy_of(address: str) -> Path:
    """Where the copy of a file lies, or will lie."""
    with _dead_or_unreadable(address):
        version = _version(address)
    name = hashlib.sha256(f"{address}\0{version}".encode()).hexdigest()
    ending = posixpath.splitext(address)[1]
    return cache_folder() / "files" / name[:2] / f"{name[2:]}{ending}"


def _copy(address: str, copy: Path) -> None:
    size = _version(address).size
    with atomic_file(copy) as temporary:
        system, path = _file_system(address)
        system.get_file(path, str(temporary))
        if size is not None and temporary.stat().st_size != size:
            raise OSError(f"{temporary.stat().st_size} of {size} bytes came")


def _attempted(address: str, act: Callable[[], T]) -> T:
    """Do something with a file, several times if it fails and the file was listed."""
    waits = WAITS if address in _listed else ()
    with _dead_or_unreadable(address):
        for wait in waits:
            try:
                with _asking(address):
                    return act()
            except _NotReachedError as error:
                logger.info("%s; trying again", error)
                time.sleep(wait)
        with _asking(address):
            return act()


@contextlib.contextmanager
def _dead_or_unreadable(address: str) -> Iterator[None]:
    """Context that makes an OSError of it if a file cannot be read that only a list names."""
    try:
        yield
    except _UnreadableError as error:
        if address in _listed:
            raise
        raise OSError(str(error)) from error


def _version(address: str) -> Version:
    known = _listed.get(address) or _asked_version(address)
    if known is None:
        raise FileNotFoundError(2, os.strerror(2), address)
    return known


@functools.cache
def _asked_version(address: str) -> Version | None:
    """The version of a file that no listing has told, asked for once in each process."""
    return _version_in(_info(address))


def _ask(address: str) -> Version | None:
    """The version of a file that opens as a data set, or None if there is no such file."""
    version = _version_in(_info(address))
    if version is not None:
        _listed[address] = version
    return version


def _info(address: str) -> dict[str, Any] | None:
    with contextlib.suppress(FileNotFoundError), _asking(address):
        system, path = _file_system(address)
        info: dict[str, Any] = system.info(path)
        return info
    return None


def _version_in(info: dict[str, Any] | None) -> Version | None:
    if info is None or info.get("type") == "directory":
        return None
    mark = next((str(info[name]) for name in VERSION_FIELDS if info.get(name)), "")
    return Version(info.get("size"), mark)


def _noted(folder: str, path: str, found: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Note the versions of files below a folder; gives their paths relative to it.

    `path` is the folder as its file system names it.
    """
    for full, info in found.items():
        name = full.removeprefix(path.rstrip("/")).lstrip("/")
        version = _version_in(info)
        is_hidden = any(part.startswith(".") for part in name.split("/"))
        if version is not None and not is_hidden:
            _listed[f"{folder.rstrip('/')}/{name}"] = version
            yield name


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _file_system(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path there; a process makes each once."""
    from fsspec.core import url_to_fs
    from fsspec.registry import known_implementations

    protocol = address.partition("://")[0].lower()
    if protocol == "hf" and not hub.is_reachable():
        raise ConnectionError("the hub cannot be reached")
    try:
        system, path = url_to_fs(address)
    except ImportError as error:
        known = known_implementations.get(protocol, {}).get("class", protocol)
        package = PACKAGES.get(protocol, known.partition(".")[0])
        raise InputError(f"{address} needs a package more: pip install {package}") from error
    except ValueError as error:
        if "Protocol not known" not in str(error):
            raise
        raise InputError(
            f"{address}: {protocol}:// is not known; allowed are s3://, gs://, hf://, https:// and "
            "others of fsspec"
        ) from error
    return system, str(path)


class _UnreadableError(InputError):
    """A file or folder that cannot be read."""


class _NotReachedError(_UnreadableError):
    """A file system that did not answer as it should; another attempt may succeed."""


@contextlib.contextmanager
def _asking(address: str) -> Iterator[None]:
    """Context that makes one line of what goes wrong elsewhere; missing files pass."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # each file system passes on those of the libraries below it
        if isinstance(error, FileNotFoundError) and not _is_hidden_failure(error.__cause__):
            raise
        hidden = error.__cause__ if isinstance(error, FileNotFoundError) else error
        reason = " ".join(str(hidden).split()) or type(hidden).__name__
        if isinstance(hidden, PermissionError) or getattr(hidden, "status", None) in (401, 403):
            raise _UnreadableError(f"no permission to read {address}: {reason}") from error
        raise _NotReachedError(f"cannot read {address}: {reason}") from error


def _is_hidden_failure(cause: BaseException | None) -> bool:
    """Whether a missing file is none: over HTTP, fsspec calls whatever it fails on missing."""
    is_connection = isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)
    return is_connection or getattr(cause, "status", 404) not in (404, 410)

"""The index of a folder of tars: a file with which a data set opens without opening its tars.

    FOLDER/.smalti-tars.safetensors         where that can be written
    CACHE/tars/HASH.safetensors             otherwise, and for folders elsewhere

It holds a `TarTable`: all numbers are int64, and the file is mapped, so that what nobody looks at
is not read. A tar of another size or time of change than the index knows is read anew.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.torch
import torch

from smalti.cluster import ignore_stop_signals
from smalti.config import InputError
from smalti.data.sources.base import name_bytes, printable, state_of
from smalti.data.sources.remote import is_remote, joined, local_copy
from smalti.data.sources.tar_scan import read_tar
from smalti.data.sources.tar_table import TEXTS, Tar, TarTable, Texts
from smalti.data.workers import prepare_workers
from smalti.files import atomic_file, disk_errors, json_text, system_lock
from smalti.model_folder import map_tensors
from smalti.paths import cache_folder
from smalti.words import counted

logger = logging.getLogger(__name__)

FILE = ".smalti-tars.safetensors"
VERSION = 1
MANY_TARS = 64
"""From so many tars on they are read by several processes, whose start takes some time."""


class OpenTar(NamedTuple):
    """A tar of a data set, and where it is known."""

    table: TarTable
    number: int
    """Number of the tar in the table."""
    is_indexed: bool
    """Whether an index knows it, so that it was not opened."""

    @property
    def rows(self) -> tuple[int, int]:
        """Row of its first image in the table, and the row behind its last one."""
        first, end = self.table.starts[self.number : self.number + 2].tolist()
        return first, end


@dataclass(frozen=True, slots=True)
class Index:
    """An index that was read or written."""

    path: Path
    table: TarTable


def open_tars(paths: Sequence[str], classes: bool) -> list[OpenTar]:
    """Look up tars in the indexes of their folders, or read through them where there is none.

    An index that is damaged, or older than some tars, is made anew, and the log says so.

    Raises:
        InputError: a tar cannot be read or is no uncompressed tar, or a class is no text.
    """
    found: dict[int, OpenTar] = {}
    for folder, numbers in _by_folder(paths).items():
        names = [os.path.basename(paths[number]) for number in numbers]
        stored = _stored(folder)
        if stored:
            table = _up_to_date(folder, names).table
        else:
            table = TarTable.joined(list(_copied_and_read([paths[n] for n in numbers], classes)))
        places = {tar.name: place for place, tar in enumerate(table.tars)}
        for number, name in zip(numbers, names, strict=True):
            found[number] = OpenTar(table, places[name], bool(stored))
    return [found[number] for number in range(len(paths))]


def index_tars(paths: Sequence[str]) -> list[Index]:
    """Make the indexes of the folders of tars, or bring them up to date; one for each folder.

    Raises:
        InputError: a tar cannot be read or is no uncompressed tar, or a class is no text; or an
            index can be written neither beside the tars nor in the cache folder.
    """
    return [
        _up_to_date(folder, [os.path.basename(paths[number]) for number in numbers])
        for folder, numbers in _by_folder(paths).items()
    ]


def _by_folder(paths: Sequence[str]) -> dict[str, list[int]]:
    """The numbers of the paths by the folder of each."""
    folders: dict[str, list[int]] = {}
    for number, path in enumerate(paths):
        folders.setdefault(os.path.dirname(path), []).append(number)
    return folders


def _copied_and_read(paths: Sequence[str], classes: bool) -> Iterator[TarTable]:
    """Read through tars; those that lie elsewhere are copied, and so will their images be there."""
    for path in paths:
        if is_remote(path):
            try:
                local_copy(path)
            except OSError as error:
                raise InputError(f"cannot read {printable(path)}: {error.strerror}") from error
        yield read_tar(path, state_of(path), classes)


def _up_to_date(folder: str, names: Sequence[str]) -> Index:
    """The index of a folder, in which tars that changed or are new are read first."""
    states = {name: state_of(joined(folder, name)) for name in names}
    fresh = next((index for index in _readable(folder) if not _changed(index, states)), None)
    if fresh is not None:
        return fresh
    lock = _cached(folder).with_suffix(".lock")
    with disk_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
    with system_lock(lock, wait=True):
        # Another process of this machine may have made it in the meantime.
        known = list(_readable(folder))
        fresh = next((index for index in known if not _changed(index, states)), None)
        return fresh or _made(folder, states, known[0] if known else None)


def _made(folder: str, states: dict[str, str], known: Index | None) -> Index:
    """Read the tars that an index does not know in their present state, and write it."""
    changed = _changed(known, states)
    if known is not None:
        logger.warning(
            "%s is out of date: %d of %s changed or are new, and are read anew",
            known.path,
            len(changed),
            counted(len(states), "tar"),
        )
    kept = [] if known is None else _kept(folder, known.table, set(changed))
    paths = [joined(folder, name) for name in changed]
    read = _read_all(paths, [states[name] for name in changed])
    table = TarTable.joined(sorted([*kept, *read], key=lambda table: table.tars[0].name))
    return _written(folder, table)


def _changed(index: Index | None, states: dict[str, str]) -> list[str]:
    """The tars that an index does not know in their present state; each once."""
    known = {} if index is None else {tar.name: tar.state for tar in index.table.tars}
    return [name for name, state in states.items() if known.get(name) != state]


def _kept(folder: str, table: TarTable, changed: set[str]) -> list[TarTable]:
    """The tables of the tars of an index that are still there and did not change."""
    return [
        table.tar(number)
        for number, tar in enumerate(table.tars)
        if tar.name not in changed and (is_remote(folder) or _is_file(folder, tar.name))
    ]


def _is_file(folder: str, name: str) -> bool:
    return os.path.isfile(os.path.join(folder, name))


def _read_all(paths: Sequence[str], states: Sequence[str]) -> list[TarTable]:
    """Read through tars, with their classes, by several processes if they are many."""
    read = partial(read_tar, classes=True)
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if len(paths) < MANY_TARS or processes == 1:
        return list(map(read, paths, states))
    prepare_workers()
    with ProcessPoolExecutor(processes, initializer=ignore_stop_signals) as pool:
        return list(pool.map(read, paths, states, chunksize=8))


# Files


def _places(folder: str) -> list[Path]:
    """Where the index of a folder may lie."""
    beside = [] if is_remote(folder) else [Path(folder, FILE)]
    return [*beside, _cached(folder)]


def _cached(folder: str) -> Path:
    place = folder if is_remote(folder) else os.path.realpath(folder)
    name = hashlib.sha256(name_bytes(place)).hexdigest()
    return cache_folder() / "tars" / f"{name}.safetensors"


def _stored(folder: str) -> bool:
    return any(path.is_file() for path in _places(folder))


def _readable(folder: str) -> Iterator[Index]:
    """The indexes of a folder that can be read; the log tells of damaged ones."""
    for path in _places(folder):
        if not path.is_file():
            continue
        try:
            yield Index(path, _table_in(path))
        except (InputError, ValueError, KeyError, TypeError, IndexError) as error:
            reason = str(error) if isinstance(error, InputError) else f"{path} is damaged"
            logger.warning("%s: the tars are read anew", reason)


def _table_in(path: Path) -> TarTable:
    """Map the table of a file; anything but InputError tells that it is damaged."""
    tensors = {name: tensor.numpy() for name, tensor in map_tensors(path).items()}
    about: dict[str, Any] = json.loads(tensors["about"].tobytes())
    if about["version"] != VERSION:
        raise InputError(f"{path} is of another version of smalti")
    table = TarTable(
        [Tar(*tar) for tar in about["tars"]],
        tensors["starts"],
        tensors["offsets"],
        tensors["sizes"],
        *(Texts(tensors[f"{name}.ends"], tensors[name]) for name in TEXTS),
    )
    if not table.is_sound():
        raise ValueError("the arrays do not fit to each other")
    return table


def _written(folder: str, table: TarTable) -> Index:
    """Write an index beside the tars, or into the cache folder where that is not possible."""
    about = json_text({"version": VERSION, "tars": table.tars}).encode()
    arrays: dict[str, Any] = {"starts": table.starts, "offsets": table.offsets}
    arrays |= {"sizes": table.sizes, "about": np.frombuffer(about, np.uint8)}
    for name in TEXTS:
        texts: Texts = getattr(table, name)
        arrays |= {f"{name}.ends": texts.ends, name: texts.content}
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    *others, last = _places(folder)
    for path in others:
        try:
            return _save(path, tensors, table)
        except InputError as error:
            logger.info("%s; the index goes to %s", error, last)
    return _save(last, tensors, table)


def _save(path: Path, tensors: dict[str, torch.Tensor], table: TarTable) -> Index:
    with atomic_file(path) as temporary:
        # Not save_file, whose files only their owner can read.
        temporary.write_bytes(safetensors.torch.save(tensors))
    return Index(path, table)

"""Finds the runs and models below the folders that a user named, also such as appear later.

A page names them by their ids, never by a path: what is not found here cannot be read.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from smalti.config import InputError
from smalti.model_download import TOKENIZER_FOLDER
from smalti.model_folder import CONFIG_FILE, WEIGHTS_FILE, read_description
from smalti.runs.config import ROOTS
from smalti.runs.stored import CONFIG_FILE as RUN_CONFIG_FILE
from smalti.runs.stored import read_run_config
from smalti.tokenizer.base import TOKENIZERS

DEEPEST = 4
"""Levels of folders below a named one in which runs are looked for."""
MOST_FOLDERS = 5000
"""Folders that are looked at, so that a whole disk does not stop the page."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A run or a model."""

    id: str
    """What the page calls it: letters and digits that follow from its place."""
    path: Path
    name: str
    """Its place below the named folder, for people, with that folder's name if several were named;
    the whole path if another has the same."""
    kind: str
    """vqgan, pixels or prior."""
    is_run: bool
    """Whether it is the folder of a run; else it is that of a model."""

    @property
    def tokenizer(self) -> Path:
        """Where the tokenizer is: its own, or that of the prior."""
        return self.path / TOKENIZER_FOLDER if self.kind == "prior" else self.path

    def check_exists(self) -> None:
        """Refuse what was deleted or moved since it was found.

        Raises:
            InputError: it is gone.
        """
        if not self.path.is_dir():
            raise InputError(f"{self.name} is no longer there")


class Library:
    """The runs and models below some folders.

    Args:
        roots: the folders, each a run, a model, or a folder above such. One that does not exist yet
            may appear later.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self.roots = [Path(root) for root in roots]
        self._known: dict[str, Entry] = {}

    def entries(self) -> list[Entry]:
        """All that is there now, by name."""
        found: dict[str, Entry] = {}
        for root in self.roots:
            above = root if len(self.roots) == 1 else root.parent
            for folder in _folders(root):
                entry = _entry(root, folder, above)
                if entry is not None:
                    found.setdefault(entry.id, entry)
        count = Counter(entry.name for entry in found.values())
        self._known = {
            id: entry if count[entry.name] == 1 else replace(entry, name=str(entry.path))
            for id, entry in found.items()
        }
        return sorted(self._known.values(), key=lambda entry: entry.name)

    def find(self, id: str) -> Entry | None:
        """The entry with an id; None if there is none, or none any more."""
        known = self._known.get(id)
        if known is None or _kind(known.path) != known.kind:
            self.entries()
        return self._known.get(id)


def _folders(root: Path) -> Iterator[Path]:
    """The folders from a root on, a level after the other, without those inside a run or model."""
    level, seen = [root], set[Path]()
    for _ in range(DEEPEST + 1):
        below: list[Path] = []
        for folder in level:
            resolved = folder.resolve()  # of a link; one that leads upwards would never end
            if resolved in seen or len(seen) >= MOST_FOLDERS:
                continue
            seen.add(resolved)
            yield folder
            if _kind(folder) is None:
                below += _children(folder)
        level = below


def _children(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as found:
            names = [one.name for one in found if one.name[0] != "." and one.is_dir()]
    except OSError:  # not there, or not ours to read
        return []
    return [folder / name for name in sorted(names)]


def _entry(root: Path, folder: Path, above: Path) -> Entry | None:
    kind = _kind(folder)
    if kind is None:
        return None
    digest = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()
    name = folder.absolute().name if folder == root else folder.relative_to(above).as_posix()
    return Entry(digest[:16], folder, name, kind, _stage(folder) is not None)


def _kind(folder: Path) -> str | None:
    """The kind of a run or model; None for other folders, and for what cannot be understood."""
    return _stage(folder) or _model_kind(folder)


def _stage(folder: Path) -> str | None:
    """The stage of a run; None for other folders."""
    changed = _changed(folder / RUN_CONFIG_FILE)
    stage = _read_stage(folder, changed) if changed else None
    return stage if isinstance(stage, str) and stage in ROOTS else None


def _model_kind(folder: Path) -> str | None:
    """The kind of a model folder; None for other folders."""
    changed = _changed(folder / CONFIG_FILE)
    kind = _read_kind(folder, changed) if changed else None
    is_known = isinstance(kind, str) and (kind in TOKENIZERS or kind == "prior")
    return kind if is_known and (folder / WEIGHTS_FILE).is_file() else None


def _changed(path: Path) -> int:
    """When a file was written; 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=1024)
def _read_stage(folder: Path, changed: int) -> Any:
    """What stands in a run's config; `changed` keeps the cache true."""
    try:
        return (read_run_config(folder) or {}).get("stage")
    except (InputError, OSError):
        return None


@lru_cache(maxsize=1024)
def _read_kind(folder: Path, changed: int) -> Any:
    """What stands in a model's config; `changed` keeps the cache true."""
    try:
        return read_description(folder)["kind"]
    except InputError:
        return None

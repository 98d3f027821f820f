"""A folder of shards that many workers fill: what it holds, a record of each shard, a manifest.

    FOLDER/DESCRIPTION.json  what decides the content of all shards; written before the first one
    FOLDER/shard-00000.EXT   a shard
    FOLDER/shard-00000.json  that it is complete: counts, size and hash of the file
    FOLDER/manifest.json     the description and all records, once no shard is missing

Codes of data sets and sets of samples are such folders.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

from pydantic import ValidationError

from smalti.config import Config, InputError, describe
from smalti.files import atomic_file, sha256, write_json
from smalti.words import counted

MANIFEST_FILE = "manifest.json"
MOST_NAMED = 10  # shards in a message


class ShardFile(Protocol):
    """What the record of a shard of any kind says."""

    @property
    def file(self) -> str:
        """Name of the shard's file."""

    @property
    def bytes(self) -> int:
        """Size of the file."""

    @property
    def sha256(self) -> str:
        """Hash of the file."""


C = TypeVar("C", bound=Config)
D = TypeVar("D", bound=Config)
R = TypeVar("R", bound=Config)


@dataclass(frozen=True, slots=True)
class FolderKind(Generic[D, R]):
    """A kind of folder, with the classes of what its files say."""

    format: str
    """Name in the files, `smalti-codes`."""
    version: int
    """Raised when the meaning of the files changes."""
    content: str
    """What the folder holds, for messages: codes."""
    command: str
    """Command that makes such a folder, for messages: smalti encode."""
    description_file: str
    description: type[D]
    record: type[R]
    """Class of the records, which are also `ShardFile`."""
    model: str
    """Field of the description, and of each record, with the hash of the model."""
    long_fields: tuple[str, ...]
    """Fields of the description whose values are too long for a message."""

    def begin(self, folder: Path, wanted: D) -> None:
        """Note in a folder, which may not exist yet, what it will hold; or check that it does.

        Raises:
            InputError: the folder holds other files or shards of another description, or cannot be
                written.
        """
        path = folder / self.description_file
        if path.is_file():
            self._check_same(folder, self.read_description(folder), wanted)
            return
        if folder.is_dir() and any(not one.name.startswith(".") for one in folder.iterdir()):
            raise InputError(
                f"{folder} is not empty and holds no {self.content}; choose a new folder"
            )
        write_config(path, wanted, {"format": self.format, "version": self.version})

    def _check_same(self, folder: Path, stored: D, wanted: D) -> None:
        if getattr(stored, self.model) != getattr(wanted, self.model):
            raise InputError(f"{folder} holds {self.content} of another model; choose a new folder")
        for name in type(wanted).model_fields:
            was, now = getattr(stored, name), getattr(wanted, name)
            if was != now and name in self.long_fields:
                raise InputError(
                    f"{folder} holds {self.content} with other {name}; choose a new folder"
                )
            if was != now:
                raise InputError(
                    f"{folder} holds {self.content} made with {name.replace('_', '-')} "
                    f"{_shown(was)}, not {_shown(now)}; choose a new folder"
                )

    def read_description(self, folder: Path) -> D:
        """Read what a folder holds.

        Raises:
            InputError: it holds nothing of the kind, the file is damaged, or it or the manifest
                beside it is of another version. A damaged manifest may be written anew.
        """
        path = folder / self.description_file
        if not path.is_file():
            raise self._nothing(folder, self.description_file)
        raw = self.checked(path)
        manifest = folder / MANIFEST_FILE
        if _is_readable(manifest):  # whoever reads this may go on to replace it
            self.checked(manifest)
        values = {name: value for name, value in raw.items() if name not in ("format", "version")}
        return parsed(self.description, values, path)

    def read_manifest(self, folder: Path, manifest: type[C]) -> C:
        """Read the manifest of a folder.

        Raises:
            InputError: there is none, it is damaged, or another version wrote it.
        """
        path = folder / MANIFEST_FILE
        if not path.is_file():
            if (folder / self.description_file).is_file():
                raise InputError(
                    f"{folder} is not finished; {self.command} --join --out {folder} says what is "
                    "missing"
                )
            raise self._nothing(folder, MANIFEST_FILE)
        return parsed(manifest, self.checked(path), path)

    def _nothing(self, folder: Path, file: str) -> InputError:
        return InputError(f"{folder} holds no {self.content} of {self.command} (no {file})")

    def checked(self, path: Path) -> dict[str, Any]:
        """Read a JSON file that names its format and version.

        Raises:
            InputError: it is of another format or version, or damaged.
        """
        raw = _read(path)
        if raw.get("format") != self.format:
            raise InputError(f"{path} is not of {self.content} of {self.command}")
        if raw.get("version") != self.version:
            raise InputError(
                f"{path} is of version {raw.get('version')}; this smalti reads version "
                f"{self.version}"
            )
        return raw

    def read_record(self, folder: Path, number: int) -> R | None:
        """Read the record of a shard; None if the shard is not finished, or its file is not whole.

        Raises:
            InputError: the record is damaged.
        """
        path = record_path(folder, number)
        if not path.is_file():
            return None
        record = parsed(self.record, _read(path), path)
        stored = cast(ShardFile, record)
        file = folder / stored.file
        return record if file.is_file() and file.stat().st_size == stored.bytes else None

    def missing(self, folder: Path, description: D, names: Sequence[str]) -> list[str]:
        """Names of the shards that are not finished, or whose files are not whole.

        Args:
            folder: the folder.
            description: what it holds.
            names: names of the files of all its shards, by their numbers.

        Raises:
            InputError: a record is damaged, or its shard was made by another model.
        """
        records = self._records(folder, description, len(names))
        return [name for name, record in zip(names, records, strict=True) if record is None]

    def complete(self, folder: Path, description: D, names: Sequence[str]) -> tuple[R, ...]:
        """The records of all shards of a folder; the arguments are those of `missing`.

        Raises:
            InputError: as `missing`, or shards are missing; the message names the first ones.
        """
        missing = self.missing(folder, description, names)
        if missing:
            raise InputError(
                f"{folder} lacks {counted(len(missing), 'shard')} of {len(names)}, missing or cut "
                f"short: {_first_ones(missing)}; the command that began the folder makes them"
            )
        records = self._records(folder, description, len(names))
        return tuple(record for record in records if record is not None)

    def check_hashes(self, folder: Path, description: D, names: Sequence[str]) -> None:
        """Read the files of all shards, and compare their hashes with the records.

        The arguments are those of `missing`.

        Raises:
            InputError: as `complete`, or hashes differ; the message names the first files.
        """
        stored = [cast(ShardFile, record) for record in self.complete(folder, description, names)]
        changed = [one.file for one in stored if sha256(folder / one.file) != one.sha256]
        if changed:
            raise InputError(
                f"{folder} has {counted(len(changed), 'shard')} of {len(names)} with another hash "
                f"than its record, damaged or replaced: {_first_ones(changed)}; delete what is "
                "wrong, and the command that began the folder makes it anew"
            )

    def _records(self, folder: Path, description: D, shards: int) -> list[R | None]:
        """The record of each shard, or None if it is not finished or its file is not whole."""
        records = [self.read_record(folder, number) for number in range(shards)]
        model = getattr(description, self.model)
        for record in records:
            if record is not None and getattr(record, self.model) != model:
                file = folder / cast(ShardFile, record).file
                raise InputError(
                    f"{file} was made by another model than the other {self.content} of the "
                    "folder; move it away with its .json, and make it again"
                )
        return records


def record_path(folder: Path, number: int) -> Path:
    """File with the record of a shard."""
    return folder / f"shard-{number:05d}.json"


def write_record(folder: Path, number: int, record: Config) -> None:
    """Write the record of a shard, which is finished by that.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    write_config(record_path(folder, number), record)


def write_config(path: Path, config: Config, first: dict[str, Any] | None = None) -> None:
    """Write a config as JSON, with some other values before it.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    with atomic_file(path) as temporary:
        write_json(temporary, (first or {}) | config.model_dump(mode="json"))


def parsed(config: type[C], raw: dict[str, Any], path: Path) -> C:
    """Parse the values of a file.

    Raises:
        InputError: they are not those of the config.
    """
    try:
        return config.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{path} is damaged: {describe(error)}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: it is no JSON") from error
    if not isinstance(raw, dict):
        raise InputError(f"{path} is damaged: it holds no object")
    return raw


def _is_readable(path: Path) -> bool:
    """Whether there is a file that holds an object of JSON."""
    try:
        _read(path)
    except InputError:
        return False
    return True


def _first_ones(names: Sequence[str]) -> str:
    """The first of some names, for a message."""
    more = ", ..." if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _shown(value: object) -> str:
    """A value as an option spells it."""
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)

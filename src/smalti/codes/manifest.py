"""What a folder of codes says of itself: its encoding, a record of each shard, and the manifest.

    FOLDER/encoding.json           what decides the codes; written before the first shard
    FOLDER/shard-00000.safetensors the codes of some images (or .parquet, .tar)
    FOLDER/shard-00000.json        that they are complete: counts, size and hash of the file
    FOLDER/manifest.json           encoding and all records, once no shard is missing

H, W: size of the crops in pixels. h, w: grid of codes.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError

from smalti.config import Config, InputError, describe
from smalti.files import atomic_file, write_json
from smalti.words import counted

C = TypeVar("C", bound=Config)

ENCODING_FILE = "encoding.json"
MANIFEST_FILE = "manifest.json"
VERSION: Literal[1] = 1
"""Raised when the meaning of the files changes."""
MOST_NAMED = 10  # missing shards in a message

FileFormat = Literal["safetensors", "parquet", "tar"]


class View(Config):
    """One crop of each image, whose codes are a column of every shard."""

    column: str
    """Name of the column, `codes_0`."""
    crop: int | Literal["center"]
    """The center crop, or the number of the random crop."""
    flip: bool | Literal["random"]
    """Whether the crop is mirrored; random is every second one."""

    def column_of(self, kind: str) -> str:
        """Name of the column with a condition's codes of this view, `segmentation_0`."""
        return self.column.replace("codes", kind)


class ConditionColumns(Config):
    """A condition of the images, of whose codes every shard has a column for each view.

    The column of the view `codes_0` is called `KIND_0`.
    """

    config: dict[str, Any]
    """Config of the condition, with its `kind`."""
    tokenizer: str | None
    """Hash of the weights of its tokenizer; null without one."""
    dtype: Literal["uint16", "int32", "float32"]
    """Number format of the columns."""


class Encoding(Config):
    """Everything that decides the codes of a folder and how they are divided into shards."""

    tokenizer: str
    """Hash of the tokenizer's weights."""
    codebook_size: int
    """K: codes are in [0, K)."""
    downsampling_factor: int
    """f: a code for each f x f pixels."""
    size: tuple[int, int]
    """H, W."""
    resize_px: int | Literal["crop", "keep"]
    """How a picture is scaled before it is cropped, as `image.resize-px` of a run."""
    small: Literal["error", "skip", "enlarge"]
    """What was done with pictures smaller than the crop."""
    seed: int
    """Seed of the random crops."""
    views: tuple[View, ...]
    classes: tuple[str, ...] | None
    """Name of each class by its number, or null if the shards have no labels."""
    conditions: Mapping[str, ConditionColumns] = Field(default_factory=dict)
    """The conditions that the shards have columns of, by kind."""
    data: str | None = None
    """Hash that changes with the files of the data, in the codes that a run makes by itself; null
    in those of `smalti encode`."""
    file_format: FileFormat
    images: int
    """Number of images of the data set, with those that turn out to be broken."""
    shards: int

    @property
    def grid(self) -> tuple[int, int]:
        """h, w."""
        height, width = self.size
        return height // self.downsampling_factor, width // self.downsampling_factor

    @property
    def dtype(self) -> Literal["uint16", "int32"]:
        """Number format of the codes."""
        return "uint16" if self.codebook_size <= 2**16 else "int32"

    def name_of(self, number: int) -> str:
        """Name of the file of a shard."""
        return f"shard-{number:05d}.{self.file_format}"


class ShardRecord(Config):
    """What is known of a finished shard."""

    file: str
    images: int
    """Number of images whose codes it holds."""
    left_out: int
    """Number of images that could not be read, or were too small and skipped."""
    bytes: int
    sha256: str
    source: str
    """File of the data set that holds the images; empty if each is a file of its own."""
    names_sha256: str
    """Hash of the names of the images, with those that are left out."""
    tokenizer: str
    """Hash of the weights that made the codes."""


class Manifest(Config):
    """A finished folder of codes."""

    format: Literal["smalti-codes"] = "smalti-codes"
    version: Literal[1] = VERSION
    encoding: Encoding
    images: int
    """Number of images with codes."""
    left_out: int
    shards: tuple[ShardRecord, ...] = Field(min_length=1)


def begin_folder(folder: Path, encoding: Encoding) -> None:
    """Note in a folder how its codes are made, or check that they are made in the same way.

    Raises:
        InputError: the folder holds other files or codes that are made otherwise, or cannot be
            written.
    """
    path = folder / ENCODING_FILE
    if path.is_file():
        _check_same(folder, _read_encoding(folder), encoding)
        return
    if folder.is_dir() and any(not one.name.startswith(".") for one in folder.iterdir()):
        raise InputError(f"{folder} is not empty and holds no codes; choose a new folder")
    _write(path, {"format": "smalti-codes", "version": VERSION} | _plain(encoding))


def stored_encoding(folder: Path) -> Encoding | None:
    """Read how the codes of a folder are made; None if it holds none, or does not exist.

    Raises:
        InputError: what it says is damaged or of another version.
    """
    return _read_encoding(folder) if (folder / ENCODING_FILE).is_file() else None


def _check_same(folder: Path, stored: Encoding, wanted: Encoding) -> None:
    if stored.tokenizer != wanted.tokenizer:
        raise InputError(f"{folder} holds codes of another model; choose a new folder")
    for name in Encoding.model_fields:
        was, now = getattr(stored, name), getattr(wanted, name)
        if was != now and name in ("views", "classes"):
            raise InputError(f"{folder} holds codes with other {name}; choose a new folder")
        if was != now:
            raise InputError(
                f"{folder} holds codes made with {name.replace('_', '-')} {_shown(was)}, not "
                f"{_shown(now)}; choose a new folder"
            )


def _shown(value: object) -> str:
    """A value as an option spells it."""
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)


def record_path(folder: Path, number: int) -> Path:
    """File with the record of a shard."""
    return folder / f"shard-{number:05d}.json"


def write_record(folder: Path, number: int, record: ShardRecord) -> None:
    """Write the record of a shard, which is finished by that.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    _write(record_path(folder, number), _plain(record))


def read_record(folder: Path, number: int) -> ShardRecord | None:
    """Read the record of a shard; None if the shard is not finished, or its file is not whole.

    Raises:
        InputError: the record is damaged.
    """
    path = record_path(folder, number)
    if not path.is_file():
        return None
    record = _parsed(ShardRecord, _read(path), path)
    file = folder / record.file
    return record if file.is_file() and file.stat().st_size == record.bytes else None


def missing_shards(folder: Path) -> list[str]:
    """Names of the shards that are not finished, or whose files are not whole.

    Raises:
        InputError: a shard was made by another model, or the folder holds no codes.
    """
    encoding = _read_encoding(folder)
    records = _records(folder, encoding)
    return [encoding.name_of(n) for n, record in enumerate(records) if record is None]


def _records(folder: Path, encoding: Encoding) -> list[ShardRecord | None]:
    """The record of each shard, or None if it is not finished or its file is not whole."""
    records = [read_record(folder, number) for number in range(encoding.shards)]
    for record in records:
        if record is not None and record.tokenizer != encoding.tokenizer:
            raise InputError(
                f"{folder / record.file} was made by another model than the other codes of the "
                "folder; move it away with its .json, and encode again"
            )
    return records


def join(folder: Path) -> Manifest:
    """Write the manifest of a folder whose shards are all finished.

    Raises:
        InputError: shards are missing or cut short, some were made by another model, or the folder
            holds no codes.
    """
    encoding = _read_encoding(folder)
    records = _records(folder, encoding)
    shards = tuple(record for record in records if record is not None)
    if len(shards) < len(records):
        missing = [encoding.name_of(n) for n, record in enumerate(records) if record is None]
        more = ", ..." if len(missing) > MOST_NAMED else ""
        raise InputError(
            f"{folder} lacks {counted(len(missing), 'shard')} of {encoding.shards}, missing or cut "
            f"short: {', '.join(missing[:MOST_NAMED])}{more}; the command that encodes makes them"
        )
    manifest = Manifest(
        encoding=encoding,
        images=sum(record.images for record in shards),
        left_out=sum(record.left_out for record in shards),
        shards=shards,
    )
    if not manifest.images:
        raise InputError(f"{folder} holds no codes: all images were left out")
    _write(folder / MANIFEST_FILE, _plain(manifest))
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder of codes.

    Raises:
        InputError: there is none, it is damaged, or another version wrote it.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        if (folder / ENCODING_FILE).is_file():
            raise InputError(
                f"{folder} is not finished; smalti encode --join --out {folder} says what is "
                "missing"
            )
        raise InputError(f"{folder} holds no codes of smalti encode (no {MANIFEST_FILE})")
    raw = _read(path)
    _check_version(raw, path)
    return _parsed(Manifest, raw, path)


def _read_encoding(folder: Path) -> Encoding:
    path = folder / ENCODING_FILE
    if not path.is_file():
        raise InputError(f"{folder} holds no codes of smalti encode (no {ENCODING_FILE})")
    raw = _read(path)
    _check_version(raw, path)
    values = {name: value for name, value in raw.items() if name not in ("format", "version")}
    return _parsed(Encoding, values, path)


def _check_version(raw: dict[str, Any], path: Path) -> None:
    if raw.get("format") != "smalti-codes":
        raise InputError(f"{path} is not of codes of smalti encode")
    if raw.get("version") != VERSION:
        raise InputError(
            f"{path} is of version {raw.get('version')}; this smalti reads version {VERSION}"
        )


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


def _parsed(config: type[C], raw: dict[str, Any], path: Path) -> C:
    try:
        return config.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{path} is damaged: {describe(error)}") from error


def _plain(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json")


def _write(path: Path, value: dict[str, Any]) -> None:
    with atomic_file(path) as temporary:
        write_json(temporary, value)

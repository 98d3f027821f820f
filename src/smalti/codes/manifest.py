"""What a folder of codes says of itself: its encoding, a record of each shard, and the manifest.

    FOLDER/encoding.json           what decides the codes; written before the first shard
    FOLDER/shard-00000.safetensors the codes of some images (or .parquet, .tar)
    FOLDER/shard-00000.json        that they are complete: counts, size and hash of the file
    FOLDER/manifest.json           encoding and all records, once no shard is missing

H, W: size of the crops in pixels. h, w: grid of codes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from smalti.config import Config, InputError
from smalti.shard_folder import MANIFEST_FILE, FolderKind, write_config

ENCODING_FILE = "encoding.json"
VERSION: Literal[1] = 1
"""Raised when the meaning of the files changes."""

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

    @property
    def columns(self) -> dict[str, str]:
        """Number format of each column of codes of a shard, by its name."""
        formats: dict[str, str] = {}
        for view in self.views:
            formats[view.column] = self.dtype
            for kind, condition in self.conditions.items():
                formats[view.column_of(kind)] = condition.dtype
        return formats

    def name_of(self, number: int) -> str:
        """Name of the file of a shard."""
        return f"shard-{number:05d}.{self.file_format}"

    @property
    def names(self) -> list[str]:
        """Names of the files of all shards, by their numbers."""
        return [self.name_of(number) for number in range(self.shards)]


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


CODES = FolderKind(
    format="smalti-codes",
    version=VERSION,
    content="codes",
    command="smalti encode",
    description_file=ENCODING_FILE,
    description=Encoding,
    record=ShardRecord,
    model="tokenizer",
    long_fields=("views", "classes", "conditions"),
)
"""Folders of codes."""


def begin_folder(folder: Path, encoding: Encoding) -> None:
    """Note in a folder how its codes are made, or check that they are made in the same way.

    Raises:
        InputError: the folder holds other files or codes that are made otherwise, or cannot be
            written.
    """
    CODES.begin(folder, encoding)


def stored_encoding(folder: Path) -> Encoding | None:
    """Read how the codes of a folder are made; None if it holds none, or does not exist.

    Raises:
        InputError: what it says is damaged or of another version.
    """
    return CODES.read_description(folder) if (folder / ENCODING_FILE).is_file() else None


def missing_shards(folder: Path) -> list[str]:
    """Names of the shards that are not finished, or whose files are not whole.

    Raises:
        InputError: a shard was made by another model, or the folder holds no codes.
    """
    encoding = CODES.read_description(folder)
    return CODES.missing(folder, encoding, encoding.names)


def join(folder: Path) -> Manifest:
    """Write the manifest of a folder whose shards are all finished.

    Raises:
        InputError: shards are missing or cut short, some were made by another model, or the folder
            holds no codes.
    """
    encoding = CODES.read_description(folder)
    shards = CODES.complete(folder, encoding, encoding.names)
    manifest = Manifest(
        encoding=encoding,
        images=sum(record.images for record in shards),
        left_out=sum(record.left_out for record in shards),
        shards=shards,
    )
    if not manifest.images:
        raise InputError(f"{folder} holds no codes: all images were left out")
    write_config(folder / MANIFEST_FILE, manifest)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a folder of codes.

    Raises:
        InputError: there is none, it is damaged, or another version wrote it.
    """
    return CODES.read_manifest(folder, Manifest)

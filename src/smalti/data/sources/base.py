"""The abstract class of data sets, which give encoded images by number, with names and classes."""

import abc
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from smalti.config import InputError
from smalti.data.decode import BrokenImageError, ImageHeader, read_header
from smalti.data.sources.remote import is_remote, joined, listed_version, local_copy
from smalti.registry import Registry

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp"),
    *(".tif", ".tiff", ".avif", ".ppm", ".pgm", ".pbm", ".pnm"),
)
"""Endings of files that are taken for images; decoding shows what is really inside."""

LIST_SUFFIXES = (".txt", ".lst", ".tsv")
SHARD_SUFFIXES = (".parquet", ".tar")


@dataclass(frozen=True, slots=True)
class RawImage:
    """One image as it is stored."""

    key: str
    """Path or address of the image, printable, for messages and reports."""
    content: bytes
    """The image file, still encoded."""
    label: int | None
    """Class number, an index into the source's `class_names`, or None without classes."""

    def header(self) -> ImageHeader:
        """Read size and layout of the picture.

        Raises:
            BrokenImageError: it is no image.
        """
        return read_header(self.content, self.key)


class ImageSource(abc.ABC):
    """A data set of encoded images with random access.

    A source is read by several processes: it is picklable, and reading leaves no shared state (such
    as a file position) behind.

    Every kind takes these arguments: `spec` is what the user wrote after `--data`; `classes` tells
    whether to read classes, otherwise `class_names` is None; `part` is the folder or column to read
    if a scene has several pictures: see `parts`.
    """

    spec: str = ""
    """The data set as the user wrote it."""
    location: str = ""
    """Folder to which the names are relative; each key begins with it."""
    class_names: tuple[str, ...] | None = None
    """Name of each class by its number, all different, or None without classes."""
    labels: Sequence[int] | None = None
    """Class number of each image, or None without classes."""
    parts: Mapping[str, frozenset[str]] = {}
    """Paths of the folders by what they hold, such as images and depths (no paths in tables); empty
    if the pictures are all of one kind."""
    left_out: Mapping[str, int] = {}
    """How many files beside the images are not read, by their ending."""

    @abc.abstractmethod
    def __init__(self, spec: str, classes: bool, part: str = "images") -> None: ...

    @classmethod
    @abc.abstractmethod
    def accepts(cls, spec: str) -> bool:
        """Whether `spec` looks like this kind; opening it shows whether it is sound."""

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def name(self, index: int) -> str:
        """Name of an image inside the source, the same wherever the data set lies."""

    def own_name(self, index: int) -> str:
        """Name whose last components identify an image, however the user named the source.

        A row of a table has its number in the table.
        """
        return self.name(index)

    @abc.abstractmethod
    def content(self, index: int) -> bytes:
        """The encoded image.

        Raises:
            OSError or BrokenImageError: it cannot be read.
        """

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """A hash that changes when an image is added, removed or replaced."""

    def shards(self) -> Sequence[tuple[str, int]]:
        """Names of the files that hold many images each, in order, with their numbers of images.

        Empty where each image is a file of its own, or where the files are not known.
        """
        return ()

    def label(self, index: int) -> int | None:
        """Class number of an image, without reading the image."""
        return None if self.labels is None else self.labels[index]

    def key(self, index: int) -> str:
        """Path or address of an image, printable."""
        return printable(joined(self.location, self.name(index)))

    def read(self, index: int) -> RawImage:
        """Read an image with its key and label.

        Raises:
            BrokenImageError: it cannot be read; the error names its key.
        """
        key = self.key(index)
        try:
            return RawImage(key, self.content(index), self.label(index))
        except OSError as error:
            reason = error.strerror or str(error)
            raise BrokenImageError(key, f"it cannot be read ({reason})") from error


SOURCES: Registry[ImageSource] = Registry("data set kind")
"""Kinds of data sets. No spec is accepted by two of them."""


def is_image_name(name: str) -> bool:
    """Whether a file name has an ending of images."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def printable(text: str) -> str:
    """Escape odd characters (newlines, undecodable bytes), so that a text fits on one line."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def same_spelling(name: str) -> str:
    """Write the accents of a name in one way, Unicode's form NFC.

    macOS stores an accent as a character of its own (NFD): such names look the same and differ.
    """
    return unicodedata.normalize("NFC", name)


def listed(names: Sequence[str], most: int) -> str:
    """The first of several names as one text that can be shown: `a, b, c, ... (9 in all)`."""
    more = f", ... ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(map(printable, names[:most])) + more


def name_bytes(name: str) -> bytes:
    """The bytes of a file's name, whichever characters its system allows in names."""
    try:
        return name.encode("utf-8", "surrogateescape")  # as on Linux, where names are bytes
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")  # halves of characters, as on Windows


def read_regular_file(path: str) -> bytes:
    """Read a file, also one that lies elsewhere.

    Raises:
        OSError: it cannot be read, or is anything else: a pipe would block, a device never end.
        InputError: it lies elsewhere, and its place cannot be reached.
    """
    if is_remote(path):
        path = local_copy(path)
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(f"{printable(path)} is not a regular file")
    return Path(path).read_bytes()


def files_fingerprint(location: str, names: Iterable[str]) -> str:
    """Hash of the names, sizes and modification times of files below `location`.

    Of a file that lies elsewhere the version counts that its folder's listing tells.
    """
    digest = hashlib.sha256()
    for name in names:
        digest.update(name_bytes(f"{name}\0{state_of(joined(location, name))}\0"))
    return digest.hexdigest()


def state_of(path: str) -> str:
    """Size and modification time of a file as a text, or the version of one that lies elsewhere."""
    if is_remote(path):
        return listed_version(path)
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # a NUL in a name is a ValueError
        return "unreadable"
    return f"{status.st_size} {status.st_mtime_ns}"


def require_images(count: int, spec: str, what: str) -> None:
    """Raise an InputError if a source has no images; `what` tells which files would count."""
    if count == 0:
        raise InputError(f"no images in {printable(spec)}; {what}")

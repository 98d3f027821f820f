"""WebDataset: plain tars in which the files of one example share the beginning of their name.

`0001.jpg`, `0001.cls` and `0001.json` belong together; see `tar_examples`. The shards are never
extracted: an index of offsets is made once, and each image is read from its place.
"""

import contextlib
import logging
import os
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from smalti.config import InputError
from smalti.data.sources.base import (
    IMAGE_SUFFIXES,
    SOURCES,
    ImageSource,
    files_fingerprint,
    printable,
    require_images,
)
from smalti.data.sources.classes import ClassTable, classes_from_words, distinct_names
from smalti.data.sources.left_out import ending_of
from smalti.data.sources.part_names import IMAGES
from smalti.data.sources.parts import choose_part, is_keypoints_name
from smalti.data.sources.remote import is_remote, local_copy
from smalti.data.sources.shards import find_shards, names_shards, relative_names
from smalti.data.sources.tar_examples import INFO_SUFFIX, LABEL_SUFFIX, Member, group_members
from smalti.data.sources.texts import decode_text
from smalti.plain_data import read_json
from smalti.words import counted

logger = logging.getLogger(__name__)

NAME_FIELDS = ("name", "synset")
"""Fields of the `.json` that may name the class; the first one present counts."""


class _Image(NamedTuple):
    """An image of the source."""

    shard: int
    member: Member
    class_word: str = ""
    """Class of the image, as its `.cls` says."""
    class_name: str | None = None
    """Name of the class, as the `.json` says."""


@dataclass(slots=True)
class _LeftOut:
    """Paths and numbers of files in the shards that are not read, for the log."""

    incomplete: int = 0
    """Number of examples without an image, or without a class although classes are read."""
    beside: list[str] = field(default_factory=list)
    further: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    """Number of members that are neither images nor about one, by their ending."""

    def count_others(self, members: Iterable[Member]) -> None:
        """Count the members that no reader knows."""
        for member in members:
            ending = ending_of(os.path.basename(member.name))
            if ending not in (*IMAGE_SUFFIXES, LABEL_SUFFIX, INFO_SUFFIX):
                self.others[ending] += 1

    def report(self, spec: str, needed: str) -> None:
        """Log what was left out, a line for each reason."""
        where = printable(spec)
        if self.incomplete:
            logger.warning(
                "left out %s of %s without %s", counted(self.incomplete, "example"), where, needed
            )
        for names, reason in (
            (self.beside, "taken for what goes with the picture of the same name"),
            (self.further, "of each name the first picture counts"),
        ):
            if names:
                count, first = counted(len(names), "picture"), printable(names[0])
                logger.warning("left out %s of %s, as %s: %s", count, where, first, reason)


@SOURCES.register("webdataset")
class WebDatasetSource(ImageSource):
    """Images in tar shards, in the order of the shards and their members.

    Only regular files count, so links, devices and folders in a tar mean nothing, and a member's
    path is text. The first image of an example counts. With classes, `.cls` is the class and
    `.json` may name it; examples without a `.cls` are left out. A shard that is cut short is read
    up to the damage. All that is left out is logged.

    Raises:
        InputError: a shard is missing or not an uncompressed tar, or no image is left.
    """

    def __init__(self, spec: str, classes: bool, part: str = IMAGES) -> None:
        self.spec = spec
        self._paths = find_shards(spec, ".tar")
        self.location, self._names = relative_names(self._paths)
        left_out = _LeftOut()
        images: list[_Image] = []
        for shard in range(len(self._paths)):
            images += self._images_of(shard, classes, left_out)
        needed = "an image and a .cls" if classes else "an image"
        left_out.report(spec, needed)
        self.left_out = left_out.others
        require_images(len(images), spec, f"examples with {needed} count")
        chosen = choose_part([image.member.name for image in images], part, spec)
        self.parts = {
            name: frozenset(f"{shard}/{folder}" for shard in self._names for folder in folders)
            for name, folders in chosen.parts.items()
        }
        images = [images[position] for position in chosen.positions]
        if classes:
            self.class_names, self.labels = _class_table(images, printable(spec))
        self._places = [(image.shard, image.member) for image in images]

    @classmethod
    def accepts(cls, spec: str) -> bool:
        """Whether `spec` names tars or a folder of them."""
        return names_shards(spec, ".tar")

    def __len__(self) -> int:
        return len(self._places)

    def name(self, index: int) -> str:
        """Name of an image, `shard.tar/member`."""
        shard, member = self._places[index]
        return f"{self._names[shard]}/{member.name}"

    def content(self, index: int) -> bytes:
        """The bytes of an image's member."""
        return self._read(*self._places[index])

    def shards(self) -> list[tuple[str, int]]:
        """The tars, with their numbers of images."""
        counts = Counter(shard for shard, _ in self._places)
        return [(name, counts[shard]) for shard, name in enumerate(self._names)]

    def fingerprint(self) -> str:
        """Hash of names, sizes and times of the shards."""
        return files_fingerprint(self.location, self._names)

    def _read(self, shard: int, member: Member) -> bytes:
        # Opened each time: the position of an open file would be shared between forked workers.
        path = self._paths[shard]
        with open(local_copy(path) if is_remote(path) else path, "rb") as file:
            file.seek(member.offset)
            return file.read(member.size)

    def _images_of(self, shard: int, classes: bool, left_out: _LeftOut) -> Iterator[_Image]:
        """The images of a shard, with `classes` only those that have one, and its poses."""
        members = list(_members(self._paths[shard]))
        left_out.count_others(members)
        grouped = group_members(members)
        left_out.beside += [f"{self._names[shard]}/{name}" for name in grouped.beside]
        left_out.further += [f"{self._names[shard]}/{name}" for name in grouped.further]
        for example in grouped.examples:
            is_pose = example.info is not None and is_keypoints_name(example.info.name)
            if is_pose and example.info is not None:
                yield _Image(shard, example.info)
            word = self._class_word(shard, example.label) if classes else ""
            if example.image is not None and (word or not classes):
                name = self._class_name(shard, example.info) if classes else None
                yield _Image(shard, example.image, word, name)
            elif not is_pose:
                left_out.incomplete += 1

    def _class_word(self, shard: int, label: Member | None) -> str:
        """The text of a `.cls`, or an empty text without one."""
        if label is None:
            return ""
        where = printable(f"{self._paths[shard]}/{label.name}")
        return decode_text(self._read(shard, label), where).strip()

    def _class_name(self, shard: int, info: Member | None) -> str | None:
        if info is None:
            return None
        try:
            where = printable(f"{self._paths[shard]}/{info.name}")
            fields = read_json(self._read(shard, info), where)
        except InputError:  # a key is written twice
            raise
        except (ValueError, RecursionError):  # not JSON; the class keeps its number for a name
            return None
        if not isinstance(fields, dict):
            return None
        names = (fields.get(field) for field in NAME_FIELDS)
        return next(
            (str(name) for name in names if isinstance(name, str | int) and name != ""), None
        )


def _class_table(images: Sequence[_Image], where: str) -> ClassTable:
    table = classes_from_words([image.class_word for image in images], where)
    names = list(table.names)
    for label, image in zip(table.labels, images, strict=True):
        # A class that the `.cls` names keeps that name.
        if image.class_name is not None and names[label] == str(label):
            names[label] = image.class_name
    return ClassTable(distinct_names(names), table.labels)


def _members(path: str) -> Iterator[Member]:
    """The regular files of a tar, up to its end or to where it is damaged."""
    try:
        here = local_copy(path) if is_remote(path) else path
        with open(here, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            yield from _members_until_damage(tar, os.fstat(file.fileno()).st_size)
            if not _at_end(file, tar.offset):
                logger.warning("%s is damaged or cut short: read up to there", printable(path))
    except tarfile.ReadError as error:
        raise InputError(f"{printable(path)} is not an uncompressed tar") from error
    except OSError as error:
        raise InputError(f"cannot read {printable(path)}: {error.strerror}") from error


def _members_until_damage(tar: tarfile.TarFile, length: int) -> Iterator[Member]:
    # Not getmembers(), which gives nothing at all of a tar that is damaged at its end.
    with contextlib.suppress(tarfile.ReadError):
        while (member := tar.next()) is not None:
            if (
                member.isreg()
                and not member.issparse()
                and member.offset_data + member.size <= length
            ):
                yield Member(member.name, member.offset_data, member.size)


def _at_end(file: BinaryIO, offset: int) -> bool:
    """Whether a tar ends where the reader stopped: a block of zeros, or the end of the file."""
    file.seek(offset)
    return offset == os.fstat(file.fileno()).st_size or file.read(tarfile.BLOCKSIZE) == bytes(
        tarfile.BLOCKSIZE
    )

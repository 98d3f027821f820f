"""Reads through a tar: which images it has, and where."""

import contextlib
import os
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple, TypeGuard

import numpy as np

from smalti.config import InputError
from smalti.data.sources.base import IMAGE_SUFFIXES, printable
from smalti.data.sources.left_out import ending_of
from smalti.data.sources.parts import is_keypoints_name
from smalti.data.sources.remote import is_remote, open_file
from smalti.data.sources.tar_examples import (
    INFO_SUFFIX,
    LABEL_SUFFIX,
    Grouped,
    Member,
    group_members,
)
from smalti.data.sources.tar_table import Tar, TarTable, Texts
from smalti.data.sources.texts import decode_text
from smalti.plain_data import read_json

NAME_FIELDS = ("name", "synset")
"""Fields of the `.json` that may name the class; the first one present counts."""


class _Image(NamedTuple):
    """An image or a pose in a tar."""

    member: Member
    class_word: str = ""
    class_name: str = ""


def read_tar(path: str, state: str, classes: bool) -> TarTable:
    """Read through a tar, here or elsewhere, up to its end or to where it is damaged.

    Args:
        path: path or address of the tar.
        state: size and time of change of the file, or its version, to note with it.
        classes: whether to read the classes.

    Raises:
        InputError: it cannot be read or is no uncompressed tar; or with `classes`, a class is no
            text.
    """
    try:
        with _opened(path) as file:
            members, is_sound = _members(file)
            grouped = group_members(members)
            images = list(_images(grouped, file, path, classes))
    except tarfile.ReadError as error:
        raise InputError(f"{printable(path)} is not an uncompressed tar") from error
    except OSError as error:
        raise InputError(f"cannot read {printable(path)}: {error.strerror or error}") from error
    tar = Tar(
        os.path.basename(path),
        state,
        sum(not _is_used(example.image, example.info) for example in grouped.examples),
        grouped.beside,
        grouped.further,
        _count_others(members),
        not is_sound,
        any("/" in image.member.name for image in images),
    )
    return TarTable(
        [tar],
        np.array([0, len(images)], np.int64),
        np.array([image.member.offset for image in images], np.int64),
        np.array([image.member.size for image in images], np.int64),
        Texts.of([image.member.name for image in images]),
        Texts.of([image.class_word for image in images]),
        Texts.of([image.class_name for image in images]),
    )


def _opened(path: str) -> BinaryIO:
    return open_file(path) if is_remote(path) else open(path, "rb")


def _members(file: BinaryIO) -> tuple[list[Member], bool]:
    """The regular files of a tar, and whether it is sound."""
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:") as tar:
        members = list(_members_until_damage(tar, length))
        return members, _is_end(file, tar.offset, length)


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


def _is_end(file: BinaryIO, offset: int, length: int) -> bool:
    """Whether a tar ends where the reader stopped: a block of zeros, or the end of the file."""
    file.seek(offset)
    return offset == length or file.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)


def _images(grouped: Grouped, file: BinaryIO, path: str, classes: bool) -> Iterator[_Image]:
    """The images of a tar and its poses, which have no class."""
    for example in grouped.examples:
        if _is_pose(example.info):
            yield _Image(example.info)
        if example.image is None:
            continue
        word = _class_word(file, path, example.label) if classes else ""
        yield _Image(example.image, word, _class_name(file, path, example.info) if word else "")


def _is_pose(info: Member | None) -> TypeGuard[Member]:
    return info is not None and is_keypoints_name(info.name)


def _is_used(image: Member | None, info: Member | None) -> bool:
    return image is not None or _is_pose(info)


def _count_others(members: Iterable[Member]) -> Counter[str]:
    """Count the members that no reader knows."""
    endings = (ending_of(os.path.basename(member.name)) for member in members)
    known = (*IMAGE_SUFFIXES, LABEL_SUFFIX, INFO_SUFFIX)
    return Counter(ending for ending in endings if ending not in known)


def _class_word(file: BinaryIO, path: str, label: Member | None) -> str:
    """The text of a `.cls`, or an empty text without one."""
    if label is None:
        return ""
    return decode_text(_read(file, label), printable(f"{path}/{label.name}")).strip()


def _class_name(file: BinaryIO, path: str, info: Member | None) -> str:
    if info is None:
        return ""
    try:
        fields = read_json(_read(file, info), printable(f"{path}/{info.name}"))
    except InputError:  # a key is written twice
        raise
    except (ValueError, RecursionError):  # not JSON; the class keeps its number for a name
        return ""
    if not isinstance(fields, dict):
        return ""
    names = (fields.get(field) for field in NAME_FIELDS)
    return next((str(name) for name in names if isinstance(name, str | int) and name != ""), "")


def _read(file: BinaryIO, member: Member) -> bytes:
    file.seek(member.offset)
    return file.read(member.size)

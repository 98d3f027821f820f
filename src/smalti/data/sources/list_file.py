"""List: a text file with one image path a line, and perhaps its class."""

import os
from dataclasses import dataclass, replace

from smalti.data.sources.base import (
    LIST_SUFFIXES,
    SOURCES,
    is_image_name,
    printable,
    require_images,
)
from smalti.data.sources.classes import classes_from_words
from smalti.data.sources.files import FileSource
from smalti.data.sources.part_names import IMAGES
from smalti.data.sources.parts import choose_part
from smalti.types import InputError


@dataclass(frozen=True, slots=True)
class _Line:
    path: str
    class_name: str | None


@SOURCES.register("list")
class ListSource(FileSource):
    """Images named by a text file (UTF-8), in its order.

    A line is a path, relative to the list's own folder or absolute. A class may follow after a tab,
    or, where the path ends like an image's name, after a space. If all classes are numbers they are
    taken as they are, else the names are numbered in alphabetical order. A file that is missing
    counts as broken when it is read.

    Raises:
        InputError: the list is missing or empty, or classes are asked for and a line has none.
    """

    def __init__(self, spec: str, classes: bool, part: str = IMAGES) -> None:
        self.spec = spec
        lines = _read_lines(spec)
        require_images(len(lines), spec, "one path a line is expected")
        chosen = choose_part([line.path for line in lines], part, spec)
        self.parts = chosen.parts
        lines = [lines[position] for position in chosen.positions]
        found = None
        if classes:
            found = classes_from_words([_class_of(line, spec) for line in lines], printable(spec))
        self.hold(os.path.dirname(spec), [line.path for line in lines], found)

    @classmethod
    def accepts(cls, spec: str) -> bool:
        """Names of text files."""
        return spec.lower().endswith(LIST_SUFFIXES) and not os.path.isdir(spec)


def _read_lines(spec: str) -> list[_Line]:
    try:
        # File names need not be valid UTF-8; a byte order mark is no part of the first.
        with open(spec, encoding="utf-8-sig", errors="surrogateescape") as file:
            lines = [_parse(line.strip()) for line in file if line.strip()]
    except OSError as error:
        raise InputError(f"cannot read {printable(spec)}: {error.strerror}") from error
    folder = os.path.dirname(spec)
    return [replace(line, path=_with_slashes(line.path, folder)) for line in lines]


def _with_slashes(path: str, folder: str) -> str:
    """A path as written on Windows with `/` in between, which every system reads."""
    if "\\" in path and (os.sep == "\\" or not os.path.exists(os.path.join(folder, path))):
        return path.replace("\\", "/")
    return path


def _parse(line: str) -> _Line:
    path, tab, word = line.partition("\t")
    if tab:
        return _Line(path.strip(), word.strip() or None)
    before, _, last = line.rpartition(" ")
    if is_image_name(before.rstrip()) and not is_image_name(line):
        return _Line(before.rstrip(), last)
    return _Line(line, None)


def _class_of(line: _Line, spec: str) -> str:
    if line.class_name is None:
        raise InputError(
            f"classes are asked for, but {printable(spec)} gives none for {printable(line.path)}; "
            "write the class after the path and a tab"
        )
    return line.class_name

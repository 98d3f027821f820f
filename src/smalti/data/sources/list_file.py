"""The data set of a list: a text file with an image path on each line, perhaps with its class."""

import io
import os
import unicodedata
from typing import NamedTuple

from smalti.config import InputError
from smalti.data.sources.base import (
    LIST_SUFFIXES,
    SOURCES,
    is_image_name,
    printable,
    read_regular_file,
    require_images,
)
from smalti.data.sources.classes import classes_from_words
from smalti.data.sources.files import FileSource
from smalti.data.sources.part_names import IMAGES
from smalti.data.sources.remote import is_remote
from smalti.data.sources.shards import is_folder
from smalti.data.sources.texts import decode_text, is_encodable


class _Line(NamedTuple):
    path: str
    class_name: str | None


@SOURCES.register("list")
class ListSource(FileSource):
    """Images named by a text file (UTF-8, or UTF-16 with its byte order mark), in its order.

    A line is a path, relative to the folder of the list or absolute, or an address (`s3://...`). If
    there is no such file, its accents are tried in another spelling, and `/` for a backslash. A
    class may follow after a tab, or after a space if the path has an ending of images. If all
    classes are numbers they are taken as they are, otherwise the names are numbered in alphabetical
    order. A missing file counts as broken when it is read.

    Raises:
        InputError: the list is missing, empty or in another encoding, or `classes` is true and a
            line has no class.
    """

    def __init__(self, spec: str, classes: bool, part: str = IMAGES) -> None:
        self.spec = spec
        lines = _read_lines(spec)
        require_images(len(lines), spec, "one path a line is expected")
        kept = self.hold(os.path.dirname(spec), [line.path for line in lines], part)
        if classes:
            words = [_class_of(lines[position], spec) for position in kept]
            self.class_names, self.labels = classes_from_words(words, printable(spec))

    @classmethod
    def accepts(cls, spec: str) -> bool:
        """Whether `spec` names a text file."""
        return spec.lower().endswith(LIST_SUFFIXES) and not is_folder(spec)


def _read_lines(spec: str) -> list[_Line]:
    try:
        content = read_regular_file(spec)
    except OSError as error:
        raise InputError(f"cannot read {printable(spec)}: {error.strerror or error}") from error
    # File names need not be valid UTF-8.
    text = decode_text(content, printable(spec), errors="surrogateescape")
    folder = os.path.dirname(spec)
    lines = [_parse(line.strip()) for line in io.StringIO(text, newline=None) if line.strip()]
    return [line._replace(path=_path_on_disk(folder, line.path, spec)) for line in lines]


def _path_on_disk(folder: str, path: str, spec: str) -> str:
    """A path of a list in the spelling of the file on disk, with `/` in between."""
    if is_remote(folder) or is_remote(path):
        return path
    if "\\" in path and (os.sep == "\\" or not os.path.lexists(os.path.join(folder, path))):
        path = path.replace("\\", "/")
    if path.isascii():
        return path
    for spelling in (path, *(unicodedata.normalize(form, path) for form in ("NFC", "NFD"))):
        if os.path.lexists(os.path.join(folder, spelling)):
            return spelling
    if not is_encodable(path):
        raise _wrong_encoding(spec, path)
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
    if not is_encodable(line.class_name):
        raise _wrong_encoding(spec, line.class_name)
    return line.class_name


def _wrong_encoding(spec: str, word: str) -> InputError:
    return InputError(f"{printable(spec)} is not in UTF-8 ({printable(word)}); save it as UTF-8")

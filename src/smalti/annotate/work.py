"""Walks over photographs and writes the files that are missing or were made by other weights."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from smalti import __version__
from smalti.annotate.base import Annotator
from smalti.annotate.place import Place
from smalti.config import InputError
from smalti.data.decode import BrokenImageError, decode_image
from smalti.data.sources.base import ImageSource
from smalti.data.sources.folder import FolderSource
from smalti.files import atomic_file, write_json
from smalti.plain_data import read_json

logger = logging.getLogger(__name__)

RECORD_FILE = "annotated.json"


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of photographs by what became of their files of one kind."""

    made: int
    """Photographs whose file was written, the first time or anew."""
    empty: int
    """Photographs among those in which nothing was found, such as no person."""
    kept: int
    """Photographs whose file these weights had made before."""
    foreign: int
    """Photographs that had a file of another origin, which was not touched."""
    broken: int
    """Photographs that cannot be read."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A photograph whose file is to be made."""

    picture: Image.Image
    path: Path


def annotate(
    source: FolderSource,
    place: Place,
    annotator: Annotator,
    batch_size: int,
    advance: Callable[[], object],
) -> Counts:
    """Make the files of one kind for all photographs. A file is there whole, or not at all.

    Files of other weights are made anew; files that this function has not made stay as they are.

    Args:
        source: the photographs.
        place: where the files go.
        annotator: makes the files.
        batch_size: most photographs at a time; they have the same size and follow each other.
        advance: is called after each photograph.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    kept = foreign = broken = 0
    made: list[bool] = []
    waiting: list[_Waiting] = []
    for index in range(len(source)):
        path = place.file(source.name(index), annotator.part, annotator.suffix)
        maker = annotator.maker_of(path) if path.exists() else ""
        advance()
        if maker is None or maker == annotator.maker:
            kept, foreign = kept + (maker is not None), foreign + (maker is None)
            continue
        try:
            raw = source.read(index)
            picture = decode_image(raw.content, raw.key)
        except BrokenImageError as error:
            logger.warning("skipped %s", error)
            broken += 1
            continue
        if waiting and (len(waiting) == batch_size or waiting[0].picture.size != picture.size):
            made += _write(waiting, annotator)
            waiting = []
        waiting.append(_Waiting(picture, path))
    made += _write(waiting, annotator)
    return Counts(len(made), made.count(False), kept, foreign, broken)


def _write(waiting: Sequence[_Waiting], annotator: Annotator) -> list[bool]:
    """Make the files of photographs of one size; return for each whether something was found."""
    if not waiting:
        return []
    found = annotator.annotate([one.picture for one in waiting])
    for one, what in zip(waiting, found, strict=True):
        with atomic_file(one.path) as temporary:
            annotator.write(what, temporary)
    return [what is not None for what in found]


def examples(
    source: ImageSource, place: Place, annotators: Sequence[Annotator], most: int, side_px: int
) -> Iterator[Image.Image]:
    """Pictures for a sheet: a photograph and what was made of it, one kind after the other.

    Args:
        source: the photographs.
        place: where the files lie.
        annotators: those that made them.
        most: number of photographs; those without a file of each kind do not count.
        side_px: side of the squares on which the pictures lie.
    """
    shown = 0
    for index in range(len(source)):
        if shown == most:
            return
        files = [place.file(source.name(index), one.part, one.suffix) for one in annotators]
        try:
            raw = source.read(index)
            picture = decode_image(raw.content, raw.key)
            drawn = [one.draw(file, picture) for one, file in zip(annotators, files, strict=True)]
        except (BrokenImageError, InputError, OSError):
            continue  # it was named before, or is somebody's own file
        shown += 1
        yield from (_on_square(one, side_px) for one in (picture, *drawn))


def _on_square(picture: Image.Image, side_px: int) -> Image.Image:
    """The picture, shrunk into the middle of a white square."""
    small = picture.copy()
    small.thumbnail((side_px, side_px))
    square = Image.new("RGB", (side_px, side_px), "white")
    square.paste(small, ((side_px - small.width) // 2, (side_px - small.height) // 2))
    return square


def write_record(place: Place, annotators: Sequence[Annotator]) -> Path:
    """Write which networks made the files of a data set; what it says of other kinds stays.

    Raises:
        InputError: the file cannot be written.
    """
    import transformers

    path = place.data / RECORD_FILE
    record = _record(path)
    for annotator in annotators:
        record[annotator.kind] = {
            "networks": [dict(network.description()) for network in annotator.networks],
            "smalti": __version__,
            "transformers": transformers.__version__,
        }
    with atomic_file(path) as temporary:
        write_json(temporary, record)
    return path


def _record(path: Path) -> dict[str, object]:
    """What a record says, or nothing if it is missing or damaged."""
    try:
        found = read_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

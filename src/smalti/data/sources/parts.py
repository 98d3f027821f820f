"""Data sets that keep several pictures of a scene: a photograph, a label map, a depth map.

On disk and in tars they lie side by side in the folders `images`, `segmentations` and `depths`,
under the same names; in tables they are columns.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

from smalti.data.sources.base import ImageSource, is_image_name, printable
from smalti.types import InputError

IMAGES = "images"
COLUMNS = {IMAGES: ("image", "img"), "segmentations": ("segmentation",), "depths": ("depth",)}
"""Names of each part's column in a table."""


class Chosen(NamedTuple):
    """The files of one part."""

    positions: Sequence[int]
    """Among all files."""
    parts: frozenset[str]
    """All parts that there are; empty where the files are all of one kind."""


def choose_part(names: Sequence[str], part: str, spec: str) -> Chosen:
    """The files of a part, or all of them where none lies in a folder of maps.

    Args:
        names: of all files, with `/` between folders.
        part: "images", "segmentations" or "depths".
        spec: the data set, for the message.

    Raises:
        InputError: there are other parts, but not this one.
    """
    found = [_part_of(name) for name in names]
    parts = frozenset(found) - {None}
    # A folder may be called `images` for other reasons; beside maps, it is the photographs'.
    if not parts - {IMAGES}:
        return Chosen(range(len(names)), frozenset())
    if part not in parts:
        listed = ", ".join(f"{other}/" for other in sorted(filter(None, parts)))
        raise InputError(f"{printable(spec)} has no folder {part}/, but {listed}")
    positions = [position for position, other in enumerate(found) if other == part]
    return Chosen(positions, frozenset(filter(None, parts)))


def without_part(name: str) -> str:
    """A file's name without the folder of its part: what classes are read from."""
    part = _part_of(name)
    if part is None:
        return name
    before, _, after = f"/{name}".rpartition(f"/{part}/")
    return f"{before}/{after}".removeprefix("/")


def scene(source: ImageSource, index: int) -> str:
    """What the pictures of a scene have in common: an image's name without part and suffix."""
    name = source.name(index)
    if not source.parts:
        return name
    common = without_part(name)
    return os.path.splitext(common)[0] if is_image_name(common) else common


def _part_of(name: str) -> str | None:
    # The nearest one: a folder far above may be called `images` for other reasons.
    folders = reversed(name.split("/")[:-1])
    return next((folder for folder in folders if folder in COLUMNS), None)

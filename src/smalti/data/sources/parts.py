"""Data sets that keep several files of a scene: a photograph, a label map, a depth map, a pose.

On disk and in tars they lie side by side in the folders `images`, `segmentations`, `depths` and
`keypoints` (JSON), under the same names; in tables they are columns.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

from smalti.data.sources.base import ImageSource, is_image_name, printable, require_images
from smalti.types import InputError

IMAGES = "images"
KEYPOINTS = "keypoints"
COLUMNS = {
    IMAGES: ("image", "img"),
    "segmentations": ("segmentation",),
    "depths": ("depth",),
    KEYPOINTS: ("keypoints",),
}
"""Names of each part's column in a table."""
PICTURE_PARTS = (IMAGES, "segmentations", "depths")
KEYPOINTS_SUFFIX = ".json"


class Chosen(NamedTuple):
    """The files of one part."""

    positions: Sequence[int]
    """Among all files."""
    parts: frozenset[str]
    """All parts that there are; empty where the files are all of one kind."""


def choose_part(names: Sequence[str], part: str, spec: str) -> Chosen:
    """The files of a part, or all pictures where none lies in a folder of maps.

    Args:
        names: of all files, with `/` between folders.
        part: "images", "segmentations", "depths" or "keypoints".
        spec: the data set, for the message.

    Raises:
        InputError: there are other parts, but not this one.
    """
    found = [_part_of(name) for name in names]
    parts = frozenset(found) - {None}
    # A folder may be called `images` for other reasons; beside others, it is the photographs'.
    is_one_kind = not parts - {IMAGES} or parts == {KEYPOINTS}
    if is_one_kind and part != KEYPOINTS:
        pictures = [position for position, other in enumerate(found) if other != KEYPOINTS]
        require_images(len(pictures), spec, "files of keypoints alone are no images")
        return Chosen(pictures, frozenset())
    if part not in parts and not parts:
        raise InputError(f"{printable(spec)} has no folder {part}/")
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
    is_file = is_image_name(common) or common.lower().endswith(KEYPOINTS_SUFFIX)
    return os.path.splitext(common)[0] if is_file else common


def is_keypoints_name(name: str) -> bool:
    """Whether a file, by its path with `/` between folders, holds keypoints."""
    return _part_of(name) == KEYPOINTS


def _part_of(name: str) -> str | None:
    # The nearest one: a folder far above may be called `images` for other reasons.
    folders = reversed(name.split("/")[:-1])
    is_pose = name.lower().endswith(KEYPOINTS_SUFFIX)
    parts = (KEYPOINTS,) if is_pose else PICTURE_PARTS
    return next((folder for folder in folders if folder in parts), None)

"""Finds which values the files of a data set use, out of those that they have room for."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from smalti.config import InputError
from smalti.content import ContentConfig
from smalti.data.decode import BrokenImageError, decode_map, is_deep_grey, load_picture
from smalti.data.order import at_even_distances
from smalti.data.sources.base import RawImage
from smalti.data.sources.part_names import DEPTHS, IMAGES
from smalti.data.stored import PALETTE_TOP, stored_map
from smalti.words import counted

MAX_FILES = 50
"""Most files whose values are read, at even distances."""
SMALL_SHARE = 0.25
"""Values that reach no higher than this share of the range leave most of it unused."""


@dataclass(frozen=True, slots=True)
class Values:
    """Lowest and highest value of files that have room for the same values."""

    lowest: float
    highest: float
    top: int | None
    """The largest value that the files have room for; None for floats."""
    files: int

    def __str__(self) -> str:
        """The values in words, such as `0 to 4095 of 0 to 65535 (12 files looked at)`."""
        room = "floats" if self.top is None else f"0 to {self.top}"
        files = counted(self.files, "file")
        return f"{self.lowest:.7g} to {self.highest:.7g} of {room} ({files} looked at)"

    def joined(self, other: "Values") -> "Values":
        """Join these values with those of other files that have room for the same values."""
        lowest, highest = min(self.lowest, other.lowest), max(self.highest, other.highest)
        return Values(lowest, highest, self.top, self.files + other.files)

    @property
    def nearest_level(self) -> int:
        """The largest number in as few bits as the highest value needs, such as 4095."""
        return int(2 ** int(max(self.highest, 1)).bit_length() - 1)


def values_of(read: Callable[[int], RawImage], length: int, part: str) -> list[Values]:
    """Read the stored values of up to `MAX_FILES` files, grouped by the largest possible value.

    Files that cannot be read are skipped. The part is "images", "segmentations" or "depths".
    """
    values: dict[int | None, Values] = {}
    for index in at_even_distances(length, MAX_FILES):
        try:
            one = _values_in(read(index), part)
        except (BrokenImageError, InputError):
            continue  # named when it is read
        known = values.get(one.top)
        values[one.top] = one if known is None else known.joined(one)
    return list(values.values())


def _values_in(raw: RawImage, part: str) -> Values:
    if part != IMAGES:
        numbers, top = decode_map(raw.content, raw.key, allow_floats=part == DEPTHS)
    else:
        picture, layout = load_picture(raw.content, raw.key)
        if is_deep_grey(picture):
            numbers, top = stored_map(picture, layout)
        else:
            numbers, top = np.asarray(picture.convert("RGB")), PALETTE_TOP
    return Values(float(numbers.min()), float(numbers.max()), top, 1)


def warning_of(values: Values, content: ContentConfig) -> str | None:
    """Warning that most of the range is unused, and what can be done, or None if it is used."""
    # Label maps use as many values as they have classes.
    if content.kind == "labels" or values.top is None:
        return None
    if values.lowest < 0:
        return f"values below 0 are not read (the lowest is {values.lowest:.7g}); shift them up"
    has_level = content.kind == "depth" or values.top > PALETTE_TOP
    level = content.white_level if has_level else None
    top = values.top if level is None else level
    if values.highest > top * SMALL_SHARE:
        return None
    line = (
        f"the values reach {values.highest:.7g} of {top}: the images use only "
        f"{values.highest / top:.1%} of the range"
    )
    if has_level:
        option = "vqgan.content.white_level"
        return f"{line}; say which value is its upper end, as --{option} {values.nearest_level}"
    return (
        f"{line}; if they are label maps or depth, say so (--vqgan.content.kind); of colours of 16 "
        "bits only the upper 8 are read, so spread them or convert them to 8"
    )

"""Recovers the numbers that a greyscale or palette file stores; Pillow scales or inverts them.

Axes: H/W size of the picture in pixels.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT

from smalti.content import DEEP_TOP

PALETTE_TOP = 255
_WHITE_IS_ZERO, _SIGNED = 0, (2,)  # values of tags of TIFF


class StoredMap(NamedTuple):
    """A map as its file stores it."""

    numbers: NDArray[Any]
    """The numbers (H, W), integers or float32."""
    top: int | None
    """The largest number that the file's layout has room for; None for floats."""


class Layout(NamedTuple):
    """How a file stores its pixels; `layout_of` must read it before they are decoded."""

    raw_mode: str
    """Pillow's name of the layout: its mode, and after a semicolon other bits, such as `L;2`."""
    maxval: int | None
    """The number that is white in a PGM file; None for other formats."""
    is_signed: bool
    is_white_zero: bool
    """Whether 0 is white, and the largest number black."""

    @property
    def has_deep_colours(self) -> bool:
        """Whether the file has several channels of 16 bits each."""
        return ";16" in self.raw_mode and not self.raw_mode.startswith("I")


def layout_of(picture: Image.Image) -> Layout:
    """Read how the file of a picture stores its pixels.

    Of a picture that is decoded already, or has no file, it is the layout of the decoded values.
    """
    tiles: Any = getattr(picture, "tile", ())
    args: Any = tiles[0].args if tiles else ""
    args = args if isinstance(args, tuple) else (args,)
    raw_mode = args[0] if isinstance(args[0], str) else ""
    is_scaled = picture.format == "PPM" and bool(tiles) and tiles[0].codec_name.startswith("ppm")
    is_white_zero = picture.format == "PPM" and picture.mode == "1"  # PBM
    is_signed = False
    if picture.format == "TIFF":
        tags: Any = picture.tag_v2  # type: ignore[attr-defined]
        is_white_zero = tags.get(PHOTOMETRIC_INTERPRETATION, _WHITE_IS_ZERO) == _WHITE_IS_ZERO
        is_signed = tags.get(SAMPLEFORMAT) == _SIGNED
    return Layout(
        raw_mode, args[1] if is_scaled and len(args) > 1 else None, is_signed, is_white_zero
    )


def stored_map(picture: Image.Image, layout: Layout) -> StoredMap:
    """Recover the numbers of a decoded picture of mode 1, L, P, I;16, I;16B, I or F."""
    values = np.asarray(picture)
    if picture.mode == "F":
        return StoredMap(values, None)
    if picture.mode == "P":
        return StoredMap(values, PALETTE_TOP)
    if picture.mode == "1":
        return StoredMap((values != layout.is_white_zero).astype(np.uint8), 1)
    if layout.maxval is not None:
        scale = PALETTE_TOP if picture.mode == "L" else DEEP_TOP
        return StoredMap(np.rint(values * (layout.maxval / scale)).astype(np.int32), layout.maxval)
    if picture.mode == "L":
        return _grey(values, layout)
    return StoredMap(values, 4095 if layout.raw_mode == "I;12" else DEEP_TOP)


def _grey(values: NDArray[np.uint8], layout: Layout) -> StoredMap:
    """The numbers of greyscale of 2, 4 or 8 bits, which Pillow spreads over 0 to 255."""
    bits = int("".join(filter(str.isdigit, layout.raw_mode)) or 8)
    top = 2**bits - 1
    numbers = values // np.uint8(255 // top)
    if layout.is_white_zero:
        numbers = np.uint8(top) - numbers
    return StoredMap(numbers.view(np.int8) if layout.is_signed else numbers, top)

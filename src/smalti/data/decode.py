"""Decodes the bytes of an image file into an RGB picture, whatever the file's colour layout.

All conversions that the rest of the package relies on happen here. Colour profiles (ICC) are not
applied: pixel values are taken as sRGB.
"""

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from smalti.config import InputError
from smalti.data.repairs import repaired_bmp, tiff_in_words, without_metadata
from smalti.data.stored import Layout, StoredMap, layout_of, stored_map
from smalti.data.upright import orientation_of, turned_size, upright

T = TypeVar("T")

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
"""The image formats that are read: Pillow has others, rarely used and rarely tested.

The JPEG reader reads MPO too, of which phones write several pictures in a file: the first counts.
"""

MAX_PIXELS = 89_478_485
"""Most pixels of a picture. Larger ones are refused before decoding, for a few kilobytes can unpack
to many gigabytes. Pillow warns from the same size on."""


class BrokenImageError(ValueError):
    """An image cannot be read, for a reason that does not repeat its key; callers skip it."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key = key
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}"


class PixelSize(NamedTuple):
    """Width and height in pixels, in Pillow's order."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Size and layout of a picture, which its file tells before any pixel is decoded."""

    size: PixelSize
    """Size of the picture when it is upright, as it is decoded."""
    mode: str
    """Pillow's name of the colour layout, e.g. RGB, L, P, CMYK, I;16."""
    orientation: int = 1
    """EXIF orientation: how the stored picture is turned to be upright; 1 leaves it as it is."""


def decode_image(
    content: bytes, key: str, background: str = "white", white_level: int | None = None
) -> Image.Image:
    """Decode the RGB picture in an image file; `key` names the file in messages.

    It is turned upright by its EXIF orientation. Of an animation the first frame is taken.
    Transparent areas are laid over the background, a colour's name. Greyscale of more than 8 bits
    is scaled to 8: white is the white level, above which it is clipped, or else the largest value
    that the file has room for. CMYK is converted without a profile.

    Raises:
        BrokenImageError: the bytes are empty, cut short, of a format not in `FORMATS`, larger than
            `MAX_PIXELS`, or of a colour layout whose range is unknown.
        InputError: a white level is set, and the file has colours of 16 bits, of which only the
            upper 8 are read.
    """
    return rgb_of(load_picture(content, key), key, background, white_level)


def rgb_of(
    read: "UprightPicture", key: str, background: str = "white", white_level: int | None = None
) -> Image.Image:
    """Make the RGB picture of a decoded picture; arguments and errors as `decode_image`."""
    picture, layout = read
    if white_level is not None and layout.has_deep_colours:
        raise InputError(
            f"{key} has colours of 16 bits, of which the upper 8 are read; the white level "
            f"{white_level} is for greyscale: convert the file to 8 bits, or leave it out"
        )
    with _pillow_errors(key):
        if is_deep_grey(picture):
            stored = stored_map(picture, layout)
            return _deep_grey_to_rgb(stored, white_level, layout.is_white_zero, key)
        return _to_rgb(picture, background)


def load_picture(content: bytes, key: str) -> "UprightPicture":
    """Decode the picture in an image file, upright, in the colour layout of the file.

    Raises:
        BrokenImageError: as `decode_image`, but for colour layouts.
    """
    return _read(content, key, _load_upright)


def picture_in_memory(picture: Image.Image, key: str) -> "UprightPicture":
    """A picture that a program has opened or made, upright; it is not changed, but decoded.

    Raises:
        BrokenImageError: its file cannot be decoded.
    """
    with _pillow_errors(key):
        return _load_upright(picture, None)


def read_header(content: bytes, key: str) -> ImageHeader:
    """Read size and mode of a picture without decoding it.

    Raises:
        BrokenImageError: as `decode_image`, as far as the first bytes show it.
    """
    return _read(content, key, _look)


def decode_map(content: bytes, key: str, allow_floats: bool = False) -> StoredMap:
    """Decode the greyscale values in the file of a map, or the numbers of its palette's colours.

    None is converted; they are turned upright as photographs are. With `allow_floats` it may be a
    TIFF of floats, or an RGBA PNG with a float in the four bytes of each pixel.

    Raises:
        BrokenImageError: as `decode_image`.
        InputError: it has colours or transparency, or is compressed as JPEG, which changes values.
    """
    return map_of(load_picture(content, key), key, allow_floats)


def map_of(read: "UprightPicture", key: str, allow_floats: bool = False) -> StoredMap:
    """The values of a decoded picture of a map; arguments and errors as `decode_map`."""
    picture, layout = read
    if picture.format in ("JPEG", "MPO") or "jpeg" in str(picture.info.get("compression")):
        raise InputError(f"{key} is a JPEG, which changes a map's values; allowed are PNG and TIFF")
    if allow_floats and picture.format == "PNG" and layout.raw_mode == "RGBA":
        return StoredMap(_floats_in_rgba(picture, key), None)
    if picture.mode not in ("1", "L", "P", "I;16", "I;16B", "I") + ("F",) * allow_floats:
        bits = " of 16 bits a channel" if layout.has_deep_colours else ""
        numbers = " (floating-point numbers)" if picture.mode == "F" else ""
        raise InputError(
            f"{key} is a picture of mode {picture.mode}{bits}{numbers}; a map has one channel, "
            "8-bit (L), with a palette (P) or 16-bit"
        )
    return stored_map(picture, layout)


class UprightPicture(NamedTuple):
    """A picture whose pixels are decoded, upright."""

    picture: Image.Image
    layout: Layout
    """How the file stores the pixels."""


def _read(content: bytes, key: str, action: Callable[[Image.Image, bytes], T]) -> T:
    """Call an action on an opened picture; if it fails, again without the metadata of the file."""
    with _pillow_errors(key):
        try:
            return action(_open(content, key), content)
        except BrokenImageError:
            raise
        except Exception as error:
            bare = without_metadata(content)
            if bare is None:
                raise
            try:
                return action(_open(bare, key), bare)
            except Exception:
                raise error from None


def _look(picture: Image.Image, content: bytes) -> ImageHeader:
    orientation = orientation_of(picture, content)
    # Pillow exchanges the sides of a TIFF itself.
    is_upright = picture.format == "TIFF"
    size = picture.size if is_upright else turned_size(picture.size, orientation)
    return ImageHeader(PixelSize(*size), picture.mode, orientation)


def _load_upright(picture: Image.Image, content: bytes | None) -> UprightPicture:
    layout = layout_of(picture)
    picture.load()
    format, info = picture.format, picture.info
    # Pillow turns a TIFF itself, and then knows of no orientation.
    picture = upright(picture, orientation_of(picture, content))
    picture.format, picture.info = format, info
    return UprightPicture(picture, layout)


def _open(content: bytes, key: str) -> Image.Image:
    if not content:
        raise BrokenImageError(key, "it is empty")
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        tiff = tiff_in_words(content)
        if tiff is None:
            raise
        reason = f"it is a TIFF of {tiff}, which is not read; 1 or 3 bands of 8 or 16 bits are"
        raise BrokenImageError(key, reason) from error
    if picture.width * picture.height > MAX_PIXELS:
        size = f"{picture.height}x{picture.width}"
        raise BrokenImageError(key, f"it has {size} pixels, more than the allowed {MAX_PIXELS}")
    return repaired_bmp(picture, content) if picture.format == "BMP" else picture


def is_deep_grey(picture: Image.Image) -> bool:
    """Whether a picture is greyscale of more than 8 bits, or of floats."""
    return picture.mode in ("I", "F") or picture.mode.startswith("I;16")


def _to_rgb(picture: Image.Image, background: str) -> Image.Image:
    if picture.mode == "RGB" and not picture.has_transparency_data:
        return picture
    if picture.has_transparency_data:
        behind = Image.new("RGBA", picture.size, background)
        picture = Image.alpha_composite(behind, picture.convert("RGBA"))
    return picture.convert("RGB")


def _deep_grey_to_rgb(
    stored: StoredMap, white_level: int | None, is_white_zero: bool, key: str
) -> Image.Image:
    """Scale greyscale of 12 or 16 bits to 8; Pillow's own conversion clips at 255."""
    numbers, top = stored
    top = top if white_level is None else white_level
    if top is None:
        raise BrokenImageError(
            key,
            "its pixels are floating-point numbers of unknown range; a white level gives them one "
            "(--vqgan.content.white-level)",
        )
    lowest, highest = numbers.min(), numbers.max()
    if lowest < 0 or (white_level is None and highest > top) or not np.isfinite(highest - lowest):
        raise BrokenImageError(
            key,
            f"it is greyscale of signed or of 32-bit numbers, {lowest} to {highest}, whose range "
            f"is unknown; 0 to {top} is read",
        )
    grey = np.rint(np.minimum(numbers, top) * (255 / top)).astype(np.uint8)
    return Image.fromarray(255 - grey if is_white_zero else grey).convert("RGB")


def _floats_in_rgba(picture: Image.Image, key: str) -> NDArray[np.float32]:
    """The float32 (H, W) in the bytes of an RGBA picture's pixels."""
    rgba = np.array(picture)
    # As a float, an opaque pixel is below -1e38 or no number.
    if (rgba[..., 3] == 255).all():
        raise InputError(
            f"{key} is a picture of mode RGBA that holds colours, not a float in each pixel's bytes"
        )
    return np.asarray(rgba.view("<f4")[..., 0])


@contextlib.contextmanager
def _pillow_errors(key: str) -> Iterator[None]:
    """Turn any error of Pillow about damaged bytes into a BrokenImageError."""
    try:
        with warnings.catch_warnings():
            # About odd metadata, and about sizes, which _open judges itself.
            warnings.simplefilter("ignore")
            yield
    except (BrokenImageError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise BrokenImageError(key, f"it is not a {', '.join(FORMATS)} file") from error
    except Exception as error:  # the readers raise a dozen kinds on damaged bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BrokenImageError(key, f"it cannot be decoded ({reason})") from error

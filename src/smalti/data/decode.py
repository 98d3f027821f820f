"""Bytes of an image file -> RGB picture, whatever the file's colour layout.

Every conversion the rest of the package relies on happens here, once. Colour profiles (ICC) are not
applied: pixel values are taken as sRGB.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from smalti.types import InputError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
"""The only readers that are tried: Pillow has others, rarely used and rarely tested."""

MAX_PIXELS = 89_478_485
"""Larger pictures are refused before decoding: a few kilobytes can unpack to many gigabytes.

It is the size from which Pillow warns.
"""


class BrokenImageError(ValueError):
    """An image that cannot be read; callers skip it, and name it.

    Args:
        key: where the image came from.
        reason: what is wrong with it, without the key.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(key, reason)
        self.key = key
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}"


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a file says about its picture before any pixel is decoded."""

    width_px: int
    height_px: int
    mode: str
    """Pillow's name of the colour layout, e.g. RGB, L, P, CMYK, I;16."""
    is_turned: bool = False
    """Whether its EXIF orientation exchanges width and height."""

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height in pixels once it is turned upright, as it is decoded."""
        sides = (self.width_px, self.height_px)
        return (sides[1], sides[0]) if self.is_turned else sides


def decode_image(content: bytes, key: str) -> Image.Image:
    """The RGB picture in an image file.

    Turned upright by its EXIF orientation; the first frame if animated; transparent parts laid over
    white; greyscale of 16 bits scaled to 8 (never clipped); CMYK converted without a profile.

    Args:
        content: the file's bytes.
        key: where they came from, for the message.

    Raises:
        BrokenImageError: the bytes are empty, cut short, of a format not in `FORMATS`, larger than
            `MAX_PIXELS`, or of a colour layout whose range is unknown.
    """
    with _pillow_errors(key):
        picture = _open(content, key)
        picture.load()
        ImageOps.exif_transpose(picture, in_place=True)
        return _to_rgb(picture, key)


def read_header(content: bytes, key: str) -> ImageHeader:
    """Size (as stored, before any EXIF rotation) and mode of a picture, without decoding it.

    Raises:
        BrokenImageError: as `decode_image`, as far as the first bytes show it.
    """
    with _pillow_errors(key):
        picture = _open(content, key)
        return ImageHeader(picture.width, picture.height, picture.mode, _is_turned(picture))


def decode_map(content: bytes, key: str) -> Image.Image:
    """The picture in the file of a map, whose values mean something: nothing is converted.

    Args:
        content: the file's bytes.
        key: where they came from, for the message.

    Returns:
        Of mode L, I;16 or I: greyscale, or the numbers of a palette's colours.

    Raises:
        BrokenImageError: as `decode_image`.
        InputError: it has colours or transparency, or is a JPEG, which changes values.
    """
    with _pillow_errors(key):
        picture = _open(content, key)
        picture.load()
    if picture.format == "JPEG":
        raise InputError(f"{key} is a JPEG, which changes a map's values; allowed are PNG and TIFF")
    if picture.mode == "P":
        return Image.fromarray(np.asarray(picture))
    if picture.mode not in ("L", "I;16", "I;16B", "I"):
        raise InputError(
            f"{key} is a picture of mode {picture.mode}; a map has one channel, 8-bit (L), with a "
            "palette (P) or 16-bit"
        )
    return picture


def _is_turned(picture: Image.Image) -> bool:
    # Asking a PNG would decode it.
    return picture.format == "JPEG" and picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5


def _open(content: bytes, key: str) -> Image.Image:
    if not content:
        raise BrokenImageError(key, "it is empty")
    picture = Image.open(io.BytesIO(content), formats=FORMATS)
    if picture.width * picture.height > MAX_PIXELS:
        size = f"{picture.width}x{picture.height}"
        raise BrokenImageError(key, f"it has {size} pixels, more than the allowed {MAX_PIXELS}")
    return picture


def _to_rgb(picture: Image.Image, key: str) -> Image.Image:
    if picture.mode == "RGB" and not picture.has_transparency_data:
        return picture
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        return _deep_grey_to_rgb(picture, key)
    if picture.mode == "F":
        raise BrokenImageError(key, "its pixels are floating-point numbers of unknown range")
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture.convert("RGB")


def _deep_grey_to_rgb(picture: Image.Image, key: str) -> Image.Image:
    """Scale 16-bit greyscale to 8 bits; Pillow's own conversion clips at 255."""
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise BrokenImageError(key, "it is 32-bit greyscale, whose range is unknown")
    grey = ((values * 255 + 32767) // 65535).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


@contextlib.contextmanager
def _pillow_errors(key: str) -> Iterator[None]:
    """Turn whatever Pillow makes of damaged bytes into a BrokenImageError."""
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

"""Headers of a data set's images, which are checked before training."""

from smalti.data.config import MOST_IMAGES_CHECKED
from smalti.data.decode import ImageHeader, read_header
from smalti.data.sources.base import RawImage
from smalti.data.transforms import PixelSize

MAX_HEADERS = MOST_IMAGES_CHECKED
"""Number of images whose headers are read; in a larger data set they lie at even distances."""


def numbers_to_check(length: int) -> range:
    """Numbers of the images to check before training: all, or `MAX_HEADERS` at even distances."""
    return at_even_distances(length, MAX_HEADERS)


def at_even_distances(length: int, most: int) -> range:
    """Positions in a sequence of `length`: all, or at most `most` of them at even distances."""
    return range(0, length, max(1, -(-length // most)))


def header_of(raw: RawImage) -> ImageHeader:
    """Read the header of a stored image.

    Raises:
        BrokenImageError: it is no image.
    """
    return read_header(raw.content, raw.key)


def upright_size(raw: RawImage) -> PixelSize:
    """Read the size of a stored image when it is upright, as it is decoded.

    Raises:
        BrokenImageError: it is no image.
    """
    header = header_of(raw)
    return PixelSize(header.width_px, header.height_px)

"""What is looked at before training: the headers of a data set's images."""

from smalti.data.config import MOST_IMAGES_CHECKED
from smalti.data.decode import ImageHeader, read_header
from smalti.data.sources.base import RawImage
from smalti.data.transforms import PixelSize

MAX_HEADERS = MOST_IMAGES_CHECKED
"""Images whose headers are read; of a larger data set, as many at even distances."""


def looked_at(length: int) -> range:
    """The images of a data set to look at before training: all, or `MAX_HEADERS` of them."""
    return at_even_distances(length, MAX_HEADERS)


def at_even_distances(length: int, most: int) -> range:
    """Positions in a row of `length`: all, or at most so many with as much between any two."""
    return range(0, length, max(1, -(-length // most)))


def header_of(raw: RawImage) -> ImageHeader:
    """Header of a stored image.

    Raises:
        BrokenImageError: it is no image.
    """
    return read_header(raw.content, raw.key)


def upright_size(raw: RawImage) -> PixelSize:
    """Size of a stored image when it is upright, as it is decoded.

    Raises:
        BrokenImageError: it is no image.
    """
    header = header_of(raw)
    return PixelSize(header.width_px, header.height_px)

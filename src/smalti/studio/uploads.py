"""Pictures that a page sends: decoded as all images are, and shrunk to what is worked on.

Their bytes are limited before they are read into memory, their pixels before they are decoded.
"""

from PIL import Image

from smalti.config import InputError
from smalti.data.decode import MAX_PIXELS, BrokenImageError, read_header
from smalti.data.readers import Reader

MOST_BYTES = 64 * 2**20
"""Bytes of the body of a request."""
MOST_PIXELS = min(50_000_000, MAX_PIXELS)
"""Pixels of a picture that is sent: as many as cameras of phones have. A sender may be anybody who
has the token, and decoding takes four bytes for each."""
NAME = "the picture"


def decode_upload(content: bytes, reader: Reader, longest_px: int) -> Image.Image:
    """Decode a picture by a reader, its longer side shrunk to `longest_px` if it is longer.

    Raises:
        InputError: it is no picture, of another kind, broken, or has too many pixels.
    """
    try:
        size = read_header(content, NAME).size
        if size.width * size.height > MOST_PIXELS:
            raise InputError(
                f"{NAME} has {size.height}x{size.width} pixels; allowed are {MOST_PIXELS:,} in all"
            )
        picture = reader.decode(content, NAME)
    except BrokenImageError as error:
        raise InputError(str(error)) from error
    if max(picture.size) > longest_px:
        picture.thumbnail((longest_px, longest_px), reader.resampling)
    return picture

"""EXIF orientation: how a stored picture is turned to stand upright, for every file format."""

from PIL import ExifTags, Image

from smalti.config import InputError

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How to turn a stored picture upright, by its EXIF orientation; with 1 it is upright already."""
FIRST_SIDEWAYS = 5
"""From this orientation on, width and height are exchanged."""

_PNG_MARKS = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")
"""Every PNG file that has an orientation contains one of these."""


def orientation_of(picture: Image.Image, content: bytes | None) -> int:
    """EXIF orientation of a picture as Pillow opens it, 1 to 8; 1 without a sound EXIF block.

    A PNG that may have an orientation is decoded. `content` is None for a picture that a program
    has opened, whose bytes are not there.
    """
    # Pillow decodes a PNG for its orientation, since the EXIF block may follow the pixels.
    may_have = content is None or any(mark in content for mark in _PNG_MARKS)
    if picture.format == "PNG" and not may_have:
        return 1
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
        return int(orientation) if orientation in TURNS else 1
    except Exception:  # the parser of EXIF raises half a dozen kinds on malformed blocks
        return 1


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Turn a stored picture upright."""
    return picture.transpose(TURNS[orientation]) if orientation in TURNS else picture


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height of a picture after it was turned; the same function turns them back."""
    return (size[1], size[0]) if orientation >= FIRST_SIDEWAYS else size


def how_map_lies(
    size: tuple[int, int], image_size: tuple[int, int], orientation: int, key: str, image_key: str
) -> int:
    """The orientation by which a map is turned so that it covers its image.

    It is 1 for a map of the size of the upright image. For a map of the size in which the image is
    stored, if that is another, it is the orientation of the image. Sizes are widths and heights in
    pixels; the keys name map and image in the message.

    Raises:
        InputError: the map has neither size.
    """
    if size == image_size:
        return 1
    if size == turned_size(image_size, orientation):
        return orientation
    raise InputError(
        f"{key} is {size[1]}x{size[0]}, but its image {image_key} is {image_size[1]}x"
        f"{image_size[0]} pixels; both must have the same size"
    )

"""Files of images on which Pillow fails: repairs of those that are sound, and words for others."""

import io
import struct

from PIL import Image, ImagePalette
from PIL.TiffImagePlugin import BITSPERSAMPLE, SAMPLEFORMAT, SAMPLESPERPIXEL, ImageFileDirectory_v2

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_NEEDED = (b"tRNS", b"eXIf")  # beside the critical chunks, whose names begin with a capital
_BMP_RAW_MODES = {4: "P;4", 8: "P"}
_BMP_BITS_OFFSET = 28
_TIFF_NUMBERS = {1: "unsigned numbers", 2: "signed numbers", 3: "floating-point numbers"}


def without_metadata(content: bytes) -> bytes | None:
    """Strip a file of metadata that drawing does not need, which may be malformed or enormous.

    In a PNG these are texts and colour profiles, which Pillow refuses above a megabyte; in an AVIF
    the EXIF block, which must be sound for Pillow to open the file. The result is None for other
    formats.
    """
    if content.startswith(PNG_SIGNATURE):
        return _png_without_texts(content)
    if content[4:8] == b"ftyp":
        # The type of the item that the file lists; an unknown type is passed over.
        return content.replace(b"Exif", b"free", 1)
    return None


def _png_without_texts(content: bytes) -> bytes:
    blocks = [PNG_SIGNATURE]
    start = len(PNG_SIGNATURE)
    while start + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, start)
        end = start + length + 12  # with length, name and checksum
        if name[:1].isupper() or name in _PNG_NEEDED:
            blocks.append(content[start:end])
        start = end
    return b"".join(blocks)


def repaired_bmp(picture: Image.Image, content: bytes) -> Image.Image:
    """Mend a BMP picture of fewer greys than its bits allow, which is not decoded yet.

    Pillow drops a palette that holds the greys 0, 1, 2, ..., or black and white alone, and then
    takes the pixels for full greyscale or single bits, however many bits they have.
    """
    (bits,) = struct.unpack_from("<H", content, _BMP_BITS_OFFSET)
    mode_bits = {"1": 1, "L": 8}.get(picture.mode, bits)
    if bits == mode_bits or bits not in _BMP_RAW_MODES:
        return picture
    greys = (0, 255) if picture.mode == "1" else range(2**bits)
    tile = picture.tile[0]  # type: ignore[attr-defined]
    picture.tile = [tile._replace(args=(_BMP_RAW_MODES[bits], *tile.args[1:]))]  # type: ignore[attr-defined]
    picture._mode = "P"
    picture.palette = ImagePalette.raw("RGB", bytes(grey for grey in greys for _ in "RGB"))
    return picture


def tiff_in_words(content: bytes) -> str | None:
    """Bands and bits of the first picture in a TIFF, or None if it is no TIFF or is damaged."""
    if content[:4] not in (b"II*\0", b"MM\0*"):
        return None
    try:
        tags = ImageFileDirectory_v2(content[:8])
        file = io.BytesIO(content)
        file.seek(tags.next)
        tags.load(file)
        bands = tags.get(SAMPLESPERPIXEL, 1)
        bits, kind = tags.get(BITSPERSAMPLE, (1,)), tags.get(SAMPLEFORMAT, (1,))
    except Exception:  # the parser raises half a dozen kinds on damaged files
        return None
    # A tag of several values that are all the same may be written once.
    bits, kind = (value if isinstance(value, tuple) else (value,) for value in (bits, kind))
    counted = "1 band" if bands == 1 else f"{bands} bands"
    return f"{counted} of {bits[0]}-bit {_TIFF_NUMBERS.get(kind[0], 'numbers of an unknown kind')}"

"""Repairs BMP files that Pillow misreads: greys in a palette of fewer colours than the bits allow.

Pillow drops a palette that holds the greys 0, 1, 2, ..., or black and white alone, and then takes
the pixels for full greyscale or single bits, however many bits they have.
"""

import struct

from PIL import Image, ImagePalette

_RAW_MODES = {4: "P;4", 8: "P"}
_BITS_OFFSET = 28


def repaired_bmp(picture: Image.Image, content: bytes) -> Image.Image:
    """Mend a BMP picture that is not decoded yet, so that it will be decoded rightly.

    Args:
        picture: the picture as Pillow opens it.
        content: the bytes of its file.
    """
    (bits,) = struct.unpack_from("<H", content, _BITS_OFFSET)
    mode_bits = {"1": 1, "L": 8}.get(picture.mode, bits)
    if bits == mode_bits or bits not in _RAW_MODES:
        return picture
    greys = (0, 255) if picture.mode == "1" else range(2**bits)
    tile = picture.tile[0]  # type: ignore[attr-defined]
    picture.tile = [tile._replace(args=(_RAW_MODES[bits], *tile.args[1:]))]  # type: ignore[attr-defined]
    picture._mode = "P"
    picture.palette = ImagePalette.raw("RGB", bytes(grey for grey in greys for _ in "RGB"))
    return picture

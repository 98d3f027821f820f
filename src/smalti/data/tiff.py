"""Describes a TIFF that Pillow does not read."""

import io

from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    SAMPLEFORMAT,
    SAMPLESPERPIXEL,
    ImageFileDirectory_v2,
)

_KINDS = {1: "unsigned numbers", 2: "signed numbers", 3: "floating-point numbers"}


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
    return f"{counted} of {bits[0]}-bit {_KINDS.get(kind[0], 'numbers of an unknown kind')}"

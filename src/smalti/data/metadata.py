"""Image files without what is not needed to draw them, which may be malformed or enormous."""

import struct

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = (b"tRNS", b"eXIf")  # beside the critical chunks, whose names begin with a capital


def without_metadata(content: bytes) -> bytes | None:
    """The same picture without the blocks on which Pillow gives up although the picture is sound.

    Of a PNG these are texts and colour profiles, which Pillow refuses above a megabyte; of an AVIF
    the EXIF block, which must be sound for Pillow to open the file. None for other formats.
    """
    if content.startswith(PNG_SIGNATURE):
        return _png_without_texts(content)
    if content[4:8] == b"ftyp":
        # The type of the item that the file lists; an unknown type is passed over.
        return content.replace(b"Exif", b"free", 1)
    return None


def _png_without_texts(content: bytes) -> bytes:
    kept = [PNG_SIGNATURE]
    start = len(PNG_SIGNATURE)
    while start + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, start)
        end = start + length + 12  # with length, name and checksum
        if name[:1].isupper() or name in _PNG_KEPT:
            kept.append(content[start:end])
        start = end
    return b"".join(kept)

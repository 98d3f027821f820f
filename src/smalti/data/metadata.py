"""Strips image files of metadata that drawing does not need, which may be malformed or enormous."""

import struct

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_NEEDED = (b"tRNS", b"eXIf")  # beside the critical chunks, whose names begin with a capital


def without_metadata(content: bytes) -> bytes | None:
    """Strip the blocks on which Pillow gives up although the picture is sound.

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

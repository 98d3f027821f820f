"""Decodes text files of users: lists and labels in UTF-8 or UTF-16."""

import codecs

from smalti.config import InputError

# UTF-32 first: its mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)


def decode_text(content: bytes, where: str, errors: str = "strict") -> str:
    """Decode a text file in UTF-8, or in the encoding that its byte order mark says.

    `errors` is what becomes of bytes that are not UTF-8; "surrogateescape" keeps them.

    Raises:
        InputError: it is no text, or in another encoding.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding, errors if encoding.startswith("utf-8") else "strict")
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not in {encoding.upper()}; save it as UTF-8") from error
    if "\0" in text:
        raise InputError(
            f"{where} has a NUL in it: it is no text, or in UTF-16 without a byte order mark; save "
            "it as UTF-8"
        )
    return text


def is_encodable(text: str) -> bool:
    """Whether a text has no bytes in it that "surrogateescape" kept as they are."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)

"""Files beside the images that are not read, and why."""

from collections.abc import Mapping

OTHER_PICTURES = (
    *(".heic", ".heif", ".jxl", ".jp2", ".j2k", ".psd", ".xcf", ".svg", ".tga", ".dds", ".exr"),
    *(".hdr", ".ico", ".eps", ".ai", ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf"),
    *(".rw2", ".raf", ".dcm", ".npy", ".npz", ".mat"),
)
"""Endings of files that hold pictures, or arrays, in formats that are not read."""
DATA_SETS = (".tar", ".parquet", ".zip", ".gz", ".tgz", ".7z", ".rar")


def ending_of(name: str) -> str:
    """The last ending of a file's name in small letters, or an empty text without an ending."""
    stem, dot, ending = name.rpartition(".")
    return f".{ending.lower()}" if stem and dot else ""


def why_left_out(ending: str) -> str:
    """Text on why files of an ending are not read, and what to do if they should be."""
    if not ending:
        return "files without an ending are not opened; name pictures .jpg, .png, ..."
    if ending in OTHER_PICTURES:
        return "a format that is not read; convert to JPEG or PNG"
    if ending in DATA_SETS:
        return "archives are not opened in a folder of images; name tars and Parquet with --data"
    return "not an image's ending"


def in_words(left_out: Mapping[str, int]) -> str:
    """Text of endings and how often each was met, the most frequent first."""
    often = sorted(left_out.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {ending or 'without an ending'}" for ending, count in often)

"""Sources of images: each kind of data set has a file here.

A new kind is a file with a registered class, and its import here.
"""

import os

from smalti.config import InputError
from smalti.data.sources import folder as folder
from smalti.data.sources import glob_files as glob_files
from smalti.data.sources import hub as hub
from smalti.data.sources import list_file as list_file
from smalti.data.sources import parquet as parquet
from smalti.data.sources import webdataset as webdataset
from smalti.data.sources.base import SOURCES, ImageSource, is_image_name, printable
from smalti.data.sources.part_names import IMAGES
from smalti.data.sources.remote import exists, is_remote
from smalti.paths import expand

ALLOWED = (
    "a folder of images, a pattern in quotes ('photos/*.png'), a text list (.txt, .lst, .tsv), "
    "Parquet files (.parquet), WebDataset shards (.tar), all of them here or elsewhere (s3://, "
    "gs://, https://, hf://datasets/owner/name/folder), or a hub data set (hf://owner/name)"
)


def open_source(spec: str, classes: bool, part: str = IMAGES) -> ImageSource:
    """Open the data set that a user names.

    Args:
        spec: a folder, a pattern of images, a list, Parquet files, tar shards (both may be a folder
            of them, a glob or a brace range) or a hub data set `owner/name[:split]`.
        classes: whether to read the classes.
        part: which folder or column to read if the data set has several: images, segmentations,
            depths or keypoints.

    Raises:
        InputError: it does not exist, has no images or no such folder or column, is of no known
            kind, or has no classes although `classes` is true.
    """
    spec = expand(spec)
    kind = _kind_of(spec)
    if kind is not None:
        return kind(spec, classes, part)
    if not (exists(spec) if is_remote(spec) else os.path.exists(spec)):
        raise InputError(f"{printable(spec)!r} does not exist; allowed are {ALLOWED}")
    hint = "; give the folder it lies in, or a pattern in quotes" if is_image_name(spec) else ""
    raise InputError(f"{printable(spec)} is no data set{hint}; allowed are {ALLOWED}")


def is_single_file(spec: str) -> bool:
    """Whether `spec` names a file that is no data set, such as one picture."""
    return os.path.isfile(spec) and _kind_of(spec) is None


def _kind_of(spec: str) -> type[ImageSource] | None:
    return next((SOURCES[kind] for kind in SOURCES if SOURCES[kind].accepts(spec)), None)

"""Reads pictures that a user names on the command line, as images for a tokenizer."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from smalti.config import InputError
from smalti.data.config import TransformConfig
from smalti.data.decode import BrokenImageError, PixelSize
from smalti.data.readers import Reader
from smalti.data.sources import is_single_file, open_source
from smalti.data.transforms import center_crop
from smalti.tokenizer.base import encoded_together


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that the user named, or a picture of a data set that the user named."""

    key: str
    """Path of the picture, for messages."""
    name: str
    """Path below the folder that all named pictures have in common."""
    content: Callable[[], bytes]
    """Function that reads the file.

    Raises:
        BrokenImageError or OSError: it cannot be read.
    """
    is_of_data_set: bool
    """Whether the picture may be skipped if it is broken; one that the user named may not."""


def find_pictures(specs: Sequence[str], part: str) -> list[Picture]:
    """Find the pictures of picture files and data sets (as for `--data`), each once.

    Args:
        specs: files and data sets that the user named.
        part: folder or column to read, if a data set has several.

    Raises:
        InputError: one does not exist, or a data set has no images or no such folder or column.
    """
    named = [_named_by(spec, part) for spec in specs]
    common = os.path.commonpath([folder for folder, _ in named])
    # By their paths: the same file may be named `a.png` and `./a.png`.
    found = {picture.name: picture for _, pictures in named for picture in pictures}
    return [replace(picture, name=_name_below(common, path)) for path, picture in found.items()]


def _named_by(spec: str, part: str) -> tuple[str, list[Picture]]:
    """The folder of a spec, and its pictures, whose names are still whole paths."""
    if is_single_file(spec):
        path = os.path.abspath(spec)
        picture = Picture(spec, path, Path(spec).read_bytes, is_of_data_set=False)
        return os.path.dirname(path), [picture]
    source = open_source(spec, False, part)
    folder = os.path.abspath(source.location)
    return folder, [
        Picture(
            source.key(index),
            os.path.abspath(os.path.join(folder, source.name(index))),
            partial(source.content, index),
            is_of_data_set=True,
        )
        for index in range(len(source))
    ]


def _name_below(folder: str, path: str) -> str:
    """A path relative to a folder; a path outside of it, from a list, only loses its root."""
    below = os.path.relpath(path, folder)
    if below.startswith(".."):
        return Path(path).relative_to(Path(path).anchor).as_posix()
    return Path(below).as_posix()


def read_picture(picture: Picture, reader: Reader) -> Image.Image:
    """Decode a picture by a reader.

    Raises:
        InputError: it cannot be read, or is of another kind.
        BrokenImageError: it cannot be read, and is a picture of a data set.
    """
    try:
        return reader.decode(_content(picture), picture.key)
    except BrokenImageError as error:
        if picture.is_of_data_set:
            raise
        raise InputError(str(error)) from error


def _content(picture: Picture) -> bytes:
    try:
        return picture.content()
    except OSError as error:
        reason = f"it cannot be read ({error.strerror or error})"
        raise BrokenImageError(picture.key, reason) from error


def load_batches(
    pictures: Sequence[Picture], transform: TransformConfig | None, reader: Reader
) -> Iterator[tuple[list[Picture], Tensor]]:
    """Load pictures as images (B, ...); those of the same size that follow each other are a batch.

    A picture that `load_image` may leave out is named on standard output.

    Raises:
        InputError: as `load_image`.
    """
    named: list[Picture] = []
    images: list[Tensor] = []
    for picture in pictures:
        try:
            image = load_image(picture, transform, reader)
        except BrokenImageError as error:
            print(f"skipped {error}")
            continue
        if images and (
            image.shape != images[0].shape
            or len(images) == encoded_together(image.shape[-2], image.shape[-1])
        ):
            yield named, torch.stack(images)
            named, images = [], []
        named.append(picture)
        images.append(image)
    if images:
        yield named, torch.stack(images)


def load_image(picture: Picture, transform: TransformConfig | None, reader: Reader) -> Tensor:
    """Load a picture as an image of the reader's content, resized and cropped by a transform.

    Raises:
        InputError: it cannot be read, or is smaller than the crop.
        BrokenImageError: it is smaller than the crop and such pictures are skipped, or it is a
            broken picture of a data set.
    """
    decoded = read_picture(picture, reader)
    if transform is None:
        return reader.to_image(decoded)
    return center_crop(PixelSize(*decoded.size), transform, picture.key).image(decoded, reader)

"""Pictures that a user names or has in memory, read as images for a tokenizer."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from smalti.config import InputError
from smalti.data.config import TransformConfig
from smalti.data.decode import BrokenImageError, PixelSize, picture_in_memory
from smalti.data.readers import Reader
from smalti.data.sources import is_single_file, open_source
from smalti.data.transforms import center_crop
from smalti.paths import expand
from smalti.tokenizer.base import encoded_together

T = TypeVar("T")

PictureSource = str | Path | Image.Image | NDArray[Any]
"""A picture, or a data set of pictures: a file, a folder, list, tar or another data set as for
`--data`, a picture of Pillow, or an array (height, width) or (height, width, 3)."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that the user named, or a picture of a data set that the user named."""

    key: str
    """Path of the picture, for messages."""
    name: str
    """Path below the folder that all named pictures have in common."""
    decode: Callable[[Reader], Image.Image]
    """Function that decodes the picture by a reader.

    Raises:
        BrokenImageError: it cannot be read.
        InputError: it is of another kind.
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


def pictures_of(source: PictureSource, part: str, number: int = 0) -> list[Picture]:
    """The pictures of a source: one, or all of a data set.

    Args:
        source: what the user has.
        part: folder or column to read, if a data set has several.
        number: number of the source among others, by which messages call what has no path.

    Raises:
        InputError: it does not exist, has no images, or is an array of another shape or dtype.
    """
    if isinstance(source, str | Path):
        return _named_by(expand(str(source)), part)[1]
    key = f"picture {number}"
    if isinstance(source, Image.Image):
        picture = source
    elif isinstance(source, np.ndarray):
        picture = _picture_of_array(source, key)
    else:
        raise InputError(
            f"{key} is a {type(source).__name__}; allowed are paths, pictures of Pillow and arrays "
            "of numpy (tensors go to the tokenizer's own `encode`)"
        )
    decode = partial(_decode_in_memory, picture, key)
    return [Picture(key, "", decode, is_of_data_set=False)]


def _decode_in_memory(picture: Image.Image, key: str, reader: Reader) -> Image.Image:
    return reader.convert(picture_in_memory(picture, key), key)


def _picture_of_array(array: NDArray[Any], key: str) -> Image.Image:
    """Make a picture of an array (H, W), or (H, W, 3) or (H, W, 4) of bytes.

    Raises:
        InputError: it has another shape or dtype.
    """
    is_grey = array.ndim == 2
    is_colour = array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype == np.uint8
    if not array.size or not (is_grey or is_colour):
        raise InputError(
            f"{key} is an array of {array.dtype} of shape {array.shape}; allowed are (height, "
            "width), and (height, width, 3) or 4 of uint8; of several pictures give a list"
        )
    if array.dtype.kind in "iu" and array.dtype != np.uint8:
        lowest, highest = int(array.min()), int(array.max())
        if not 0 <= lowest <= highest < 2**16:
            raise InputError(f"{key} holds {lowest} to {highest}; allowed are 0 to {2**16 - 1}")
        return Image.fromarray(array.astype(np.uint16))
    if array.dtype.kind == "f":
        return Image.fromarray(array.astype(np.float32))
    if array.dtype.kind not in "bu":
        raise InputError(f"{key} is an array of {array.dtype}; allowed are numbers")
    return Image.fromarray(array)


def _named_by(spec: str, part: str) -> tuple[str, list[Picture]]:
    """The folder of a spec, and its pictures, whose names are still whole paths."""
    if is_single_file(spec):
        path = os.path.abspath(spec)
        decode = partial(_decode_file, Path(spec).read_bytes, spec)
        return os.path.dirname(path), [Picture(spec, path, decode, is_of_data_set=False)]
    source = open_source(spec, False, part)
    folder = os.path.abspath(source.location)
    return folder, [
        Picture(
            source.key(index),
            os.path.abspath(os.path.join(folder, source.name(index))),
            partial(_decode_file, partial(source.content, index), source.key(index)),
            is_of_data_set=True,
        )
        for index in range(len(source))
    ]


def _decode_file(content: Callable[[], bytes], key: str, reader: Reader) -> Image.Image:
    try:
        read = content()
    except OSError as error:
        reason = f"it cannot be read ({error.strerror or error})"
        raise BrokenImageError(key, reason) from error
    return reader.decode(read, key)


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
        return picture.decode(reader)
    except BrokenImageError as error:
        if picture.is_of_data_set:
            raise
        raise InputError(str(error)) from error


def load_images(
    pictures: Iterable[Picture],
    transform: TransformConfig | None,
    reader: Reader,
    on_broken: Callable[[BrokenImageError], object],
) -> Iterator[tuple[Picture, Tensor]]:
    """Load pictures as images; those that `load_image` may leave out go to `on_broken`.

    Raises:
        InputError: as `load_image`.
    """
    for picture in pictures:
        try:
            image = load_image(picture, transform, reader)
        except BrokenImageError as error:
            on_broken(error)
            continue
        yield picture, image


def batches_of_one_size(images: Iterable[tuple[T, Tensor]]) -> Iterator[tuple[list[T], Tensor]]:
    """Stack images (...) of the same size that follow each other into batches (B, ...).

    Each image comes with what belongs to it, such as its picture.
    """
    kept: list[T] = []
    stacked: list[Tensor] = []
    for belonging, image in images:
        if stacked and (
            image.shape != stacked[0].shape
            or len(stacked) == encoded_together(image.shape[-2], image.shape[-1])
        ):
            yield kept, torch.stack(stacked)
            kept, stacked = [], []
        kept.append(belonging)
        stacked.append(image)
    if stacked:
        yield kept, torch.stack(stacked)


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

"""Encodes pictures that a program has, and decodes codes into pictures.

Axes: n images, h/w grid of codes, K codebook size, f down-sampling factor.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from smalti.codes.pictures import (
    Picture,
    PictureSource,
    batches_of_one_size,
    load_images,
    pictures_of,
)
from smalti.config import InputError
from smalti.content_images import content_images
from smalti.data.config import TransformConfig
from smalti.data.decode import BrokenImageError
from smalti.data.loader import read_ahead
from smalti.data.readers import reader_of
from smalti.progress import OnProgress, Steps, Watch
from smalti.tokenizer.base import Tokenizer, padded
from smalti.words import all_are

logger = logging.getLogger(__name__)

LARGEST_WHOLE_CELLS = 64 * 64
"""Most cells of a grid that is decoded whole. Larger ones are decoded in tiles, to save memory."""


@dataclass(frozen=True, slots=True)
class PictureCodes:
    """The codes of a picture."""

    codes: Tensor
    """(h, w) int64 in [0, K), on the processor."""
    size_px: tuple[int, int]
    """Height and width of the image that they stand for, at most (f h, f w)."""
    name: str
    """Path of the picture; empty for one in memory."""

    @property
    def grid(self) -> tuple[int, int]:
        """H and w, rows and columns of codes."""
        return self.codes.shape[0], self.codes.shape[1]


def encode_pictures(
    tokenizer: Tokenizer,
    pictures: PictureSource | Sequence[PictureSource],
    *,
    size: int | tuple[int, int] | None = None,
    small: Literal["error", "skip", "enlarge"] = "error",
    on_progress: OnProgress | None = None,
    cancelled: threading.Event | None = None,
) -> list[PictureCodes]:
    """Encode pictures of any kind and size that the tokenizer's content allows.

    Files are read as `smalti encode` reads them; a broken picture of a data set is left out and
    logged. Pictures of one size that follow each other are encoded together.

    Args:
        tokenizer: the tokenizer, of photographs, label maps, depth or edges.
        pictures: a picture of Pillow, an array, a path, or a sequence of these. A path may also be
            that of a data set, as for `--data`, and stands for all of its pictures. Arrays are
            (height, width), or (height, width, 3) of uint8.
        size: height and width in pixels, or one number for both, to which each picture is resized
            and cropped, multiples of f. None leaves pictures as they are: sides that f does not
            divide are lengthened with the last row or column, which `decode_pictures` cuts off.
        small: what to do with pictures smaller than `size`: error, skip or enlarge.
        on_progress: is told how many pictures are encoded.
        cancelled: ends the call once it is set.

    Returns:
        Codes of the pictures in their order. `torch.stack([one.codes for one in result])` makes one
        tensor of those with equal grids.

    Raises:
        InputError: a picture does not exist, is broken, of another kind or too small, or the size
            is not a multiple of f.
        CancelledError: the call was cancelled.
    """
    content = tokenizer.content
    transform = _transform(tokenizer, size, small)
    if isinstance(pictures, str | Path | Image.Image | np.ndarray):
        pictures = [pictures]
    found = [
        picture
        for number, source in enumerate(pictures)
        for picture in pictures_of(source, content.part, number)
    ]
    loaded = load_images(found, transform, reader_of(content), _log_broken)
    batches = read_ahead(batches_of_one_size(_lengthened(loaded, tokenizer.downsampling_factor)))
    codes: list[PictureCodes] = []
    watch = Watch(on_progress=on_progress, cancelled=cancelled)
    with Steps(len(found), "picture", watch) as steps, contextlib.closing(batches):
        for named, images in batches:
            grids = tokenizer.encode_in_tiles(images.to(tokenizer.device)).cpu()
            codes += [
                PictureCodes(grid, size_px, picture.key if picture.name else "")
                for (picture, size_px), grid in zip(named, grids, strict=True)
            ]
            steps.advance(len(named))
    if found and not codes:
        raise InputError(f"{all_are(len(found), 'picture')} broken or smaller than the size")
    return codes


def _transform(
    tokenizer: Tokenizer, size: int | tuple[int, int] | None, small: str
) -> TransformConfig | None:
    """How pictures are resized and cropped; None leaves them as they are."""
    if size is None:
        return None
    return TransformConfig.model_validate({"size": sides_of(tokenizer, size), "small": small})


def sides_of(tokenizer: Tokenizer, size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width of crops that divide into codes, of those that are asked for.

    Raises:
        InputError: f does not divide them.
    """
    factor = tokenizer.downsampling_factor
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1 or height % factor or width % factor:
        raise InputError(f"size {height}x{width}: both sides must be multiples of {factor}")
    return height, width


def _lengthened(
    images: Iterator[tuple[Picture, Tensor]], factor: int
) -> Iterator[tuple[tuple[Picture, tuple[int, int]], Tensor]]:
    """Images whose sides divide by a factor, with their pictures and sizes before that."""
    for picture, image in images:
        yield (picture, (image.shape[-2], image.shape[-1])), padded(image, factor)


def _log_broken(error: BrokenImageError) -> None:
    logger.warning("skipped image %s", error)


def decode_pictures(
    tokenizer: Tokenizer, codes: PictureCodes | Tensor | Sequence[PictureCodes | Tensor]
) -> list[Image.Image]:
    """Decode codes into pictures.

    Large grids are decoded in tiles, which takes less memory and more time.

    Args:
        tokenizer: the tokenizer that made the codes, or whose codes were drawn.
        codes: what `encode_pictures` returned, or one of it; integers (n, h, w) of images, (h, w)
            of one, or a sequence of these.

    Returns:
        A picture of each image: RGB, or for maps their values (labels with a palette, depth as
        16-bit grey, edges as grey).

    Raises:
        InputError: codes are outside [0, K), or of another shape or dtype.
    """
    if isinstance(codes, PictureCodes):
        image = images_of_codes(tokenizer, _checked(codes.codes)).cpu()[0]
        height, width = codes.size_px
        return [content_images(tokenizer.content).to_picture(image[..., :height, :width])]
    if isinstance(codes, list | tuple):
        return [picture for one in codes for picture in decode_pictures(tokenizer, one)]
    grids = _checked(codes)
    together = max(1, LARGEST_WHOLE_CELLS // (grids.shape[1] * grids.shape[2]))
    return [
        content_images(tokenizer.content).to_picture(image)
        for chunk in torch.split(grids, together)
        for image in images_of_codes(tokenizer, chunk)
    ]


def images_of_codes(tokenizer: Tokenizer, codes: Tensor) -> Tensor:
    """Images of codes (n, h, w) int64 in [0, K); large ones are decoded in tiles.

    They have the form of the tokenizer's content, `(n, 3, f h, f w)` float32 in [-1, 1] for
    photographs.
    """
    codes = codes.to(tokenizer.device)
    is_large = codes.shape[1] * codes.shape[2] > LARGEST_WHOLE_CELLS
    return tokenizer.decode_in_tiles(codes) if is_large else tokenizer.decode(codes)


def _checked(codes: object) -> Tensor:
    """Codes (n, h, w) int64 of codes (n, h, w) or (h, w)."""
    if not isinstance(codes, Tensor):
        raise InputError(f"codes must be tensors or PictureCodes, got {type(codes).__name__}")
    if codes.ndim not in (2, 3) or not codes.numel() or codes.is_floating_point():
        raise InputError(
            f"codes must be integers (n, h, w) or (h, w), got {codes.dtype} of shape "
            f"{tuple(codes.shape)}"
        )
    return codes.long().reshape(-1, *codes.shape[-2:])

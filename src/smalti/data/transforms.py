"""Picture -> image tensor: resize, crop, flip.

H, W: size of the crop in pixels. The randomness of a sample is a function of (seed, epoch, sample
number), so it does not depend on workers, batch size, or where a run was resumed.
"""

from typing import Literal, NamedTuple

import torch
from PIL import Image
from pydantic import PositiveInt
from torch import Tensor

from smalti.content import RGBContent
from smalti.data.readers import PhotographReader, Reader
from smalti.types import Config, InputError

PHOTOGRAPHS = PhotographReader(RGBContent())


class TransformConfig(Config):
    """How a picture of any size becomes an image of the crop's size."""

    size: PositiveInt | tuple[PositiveInt, PositiveInt] = 256
    """Crop in pixels: one number for a square, or height and width."""
    resize_px: PositiveInt | Literal["crop", "keep"] = "crop"
    """Scale before cropping: `crop` shrinks the picture until it just covers the crop, a number
    shrinks its shorter side to that many pixels (or as far as still covers the crop), `keep` crops
    at the original scale."""
    crop: Literal["random", "center"] = "random"
    """Where to crop while training; evaluation always crops the center."""
    flip: bool = True
    """Mirror every second picture, at random, while training."""
    upscale: bool = False
    """Enlarge pictures that are smaller than the crop (or than `resize_px`). Otherwise a picture
    smaller than the crop is an error, and no picture is enlarged."""

    @property
    def height_px(self) -> int:
        """H."""
        return self.size if isinstance(self.size, int) else self.size[0]

    @property
    def width_px(self) -> int:
        """W."""
        return self.size if isinstance(self.size, int) else self.size[1]


class PixelSize(NamedTuple):
    """Width and height in pixels, in Pillow's order."""

    width: int
    height: int


def random_transform(
    picture: Image.Image,
    config: TransformConfig,
    generator: torch.Generator,
    key: str,
    reader: Reader = PHOTOGRAPHS,
) -> Tensor:
    """The training image of a picture: resized, cropped and flipped as `config` says.

    Args:
        picture: as the reader decodes it.
        config: sizes and which of the random steps to take.
        generator: CPU generator that decides crop and flip; the same state gives the same image.
        key: where the picture came from, for the message.
        reader: of the picture's kind.

    Returns:
        (3, H, W) float32 in [-1, 1] of a photograph; else what the reader says.

    Raises:
        InputError: the picture is smaller than the crop and `config.upscale` is off.
    """
    if config.crop == "center":
        image = center_transform(picture, config, key, reader)
    else:
        picture = _resize(picture, config, key, reader)
        left = _draw(picture.width - config.width_px, generator)
        top = _draw(picture.height - config.height_px, generator)
        image = _crop(picture, config, left, top, reader)
    if config.flip and _draw(1, generator):
        image = image.flip(-1)
    return image


def center_transform(
    picture: Image.Image, config: TransformConfig, key: str, reader: Reader = PHOTOGRAPHS
) -> Tensor:
    """The evaluation image of a picture: resized, center crop, no flip.

    Args, Returns and Raises as `random_transform`.
    """
    picture = _resize(picture, config, key, reader)
    left = (picture.width - config.width_px) // 2
    top = (picture.height - config.height_px) // 2
    return _crop(picture, config, left, top, reader)


def resized_size(size: PixelSize, config: TransformConfig, key: str) -> PixelSize:
    """Size of a picture before cropping; it always covers the crop.

    Raises:
        InputError: the picture is smaller than the crop and `config.upscale` is off.
    """
    cover = max(config.width_px / size.width, config.height_px / size.height)
    if cover > 1 and not config.upscale:
        raise InputError(
            f"{key} is {size.width}x{size.height} pixels, smaller than the crop of "
            f"{config.width_px}x{config.height_px}; choose a smaller size, or set upscale"
        )
    if config.resize_px == "crop":
        scale = cover
    elif config.resize_px == "keep":
        scale = max(cover, 1.0)
    else:
        wanted = config.resize_px / min(size)
        scale = max(cover, wanted if config.upscale else min(wanted, 1.0))
    # Rounding may fall a pixel short of the crop, never more.
    width = max(round(scale * size.width), config.width_px)
    height = max(round(scale * size.height), config.height_px)
    return PixelSize(width, height)


def _resize(picture: Image.Image, config: TransformConfig, key: str, reader: Reader) -> Image.Image:
    size = PixelSize(*picture.size)
    target = resized_size(size, config, key)
    # Pillow widens a bicubic filter when it shrinks, so this is antialiased.
    return picture if target == size else picture.resize(target, reader.resampling)


def _crop(
    picture: Image.Image, config: TransformConfig, left: int, top: int, reader: Reader
) -> Tensor:
    box = (left, top, left + config.width_px, top + config.height_px)
    return reader.to_image(picture.crop(box))


def _draw(highest: int, generator: torch.Generator) -> int:
    return int(torch.randint(highest + 1, (), generator=generator))

"""Turns pictures into image tensors: resize, crop, flip.

H, W: size of the crop in pixels. The randomness of a sample is a function of (seed, epoch, sample
number), so it does not depend on workers, batch size, or where a run was resumed.
"""

from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from smalti.config import InputError
from smalti.data.config import TransformConfig
from smalti.data.decode import BrokenImageError, PixelSize
from smalti.data.readers import Reader


class Crop(NamedTuple):
    """How a picture is resized, cropped and perhaps mirrored.

    It is drawn once and applied to all that belongs together: a photograph and its maps.
    """

    resized: PixelSize
    """Size of the picture before cropping."""
    left: int
    top: int
    size: PixelSize
    """Size of the crop, W and H."""
    flip: bool = False

    @property
    def room(self) -> PixelSize:
        """Largest distances of the crop from the left and from the top of the resized picture."""
        return PixelSize(
            self.resized.width - self.size.width, self.resized.height - self.size.height
        )

    def cut(self, picture: Image.Image, resampling: Image.Resampling) -> Image.Image:
        """Resize and crop a decoded picture; it is not mirrored yet."""
        if picture.size != self.resized:
            # Pillow widens a bicubic filter when it shrinks, so this is antialiased.
            picture = picture.resize(self.resized, resampling)
        right, bottom = self.left + self.size.width, self.top + self.size.height
        return picture.crop((self.left, self.top, right, bottom))

    def to_image(self, cropped: Image.Image, reader: Reader) -> Tensor:
        """Make the reader's image of a picture that `cut` returned, mirrored if `flip` is set."""
        image = reader.to_image(cropped)
        return image.flip(-1) if self.flip else image

    def image(self, picture: Image.Image, reader: Reader) -> Tensor:
        """Make the reader's image of a picture that the reader decoded."""
        return self.to_image(self.cut(picture, reader.resampling), reader)


def draw_crop(
    size: PixelSize, config: TransformConfig, generator: torch.Generator, key: str
) -> Crop:
    """Draw the training crop of a picture; `key` names the picture in messages.

    The generator, one of the CPU, decides crop and flip: the same state gives the same crop.

    Raises:
        InputError or BrokenImageError: as `resized_size`.
    """
    crop = center_crop(size, config, key)
    if config.crop == "random":
        left = _draw(crop.room.width, generator)
        crop = crop._replace(left=left, top=_draw(crop.room.height, generator))
    return crop._replace(flip=config.flip and bool(_draw(1, generator)))


def center_crop(size: PixelSize, config: TransformConfig, key: str) -> Crop:
    """The evaluation crop of a picture: its centre, not mirrored; errors as `resized_size`."""
    resized = resized_size(size, config, key)
    whole = Crop(resized, 0, 0, PixelSize(config.width_px, config.height_px))
    return whole._replace(left=whole.room.width // 2, top=whole.room.height // 2)


def resized_size(size: PixelSize, config: TransformConfig, key: str) -> PixelSize:
    """Size of a picture before cropping; it always covers the crop.

    Raises:
        InputError: the picture is smaller than the crop, and `config.small` is error or auto.
        BrokenImageError: the picture is smaller than the crop, and `config.small` is skip.
    """
    cover = max(config.width_px / size.width, config.height_px / size.height)
    can_enlarge = config.small == "enlarge"
    if cover > 1 and not can_enlarge:
        reason = (
            f"{size.height}x{size.width} pixels, smaller than the crop of "
            f"{config.height_px}x{config.width_px}"
        )
        if config.small == "skip":
            raise BrokenImageError(key, f"it is {reason}")
        raise InputError(
            f"{key} is {reason}; choose a smaller size, or skip or enlarge small images "
            "(image.small, --small)"
        )
    if config.resize_px == "crop":
        scale = cover
    elif config.resize_px == "keep":
        scale = max(cover, 1.0)
    else:
        wanted = config.resize_px / min(size)
        scale = max(cover, wanted if can_enlarge else min(wanted, 1.0))
    # Rounding may fall a pixel short of the crop, never more.
    width = max(round(scale * size.width), config.width_px)
    height = max(round(scale * size.height), config.height_px)
    return PixelSize(width, height)


def _draw(highest: int, generator: torch.Generator) -> int:
    return int(torch.randint(highest + 1, (), generator=generator))

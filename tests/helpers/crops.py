"""Pictures as images, as tests make them: without a data set."""

import torch
from PIL import Image
from torch import Tensor

from smalti.content import RGBContent
from smalti.data.config import TransformConfig
from smalti.data.decode import PixelSize
from smalti.data.readers import PhotographReader, Reader
from smalti.data.transforms import center_crop, draw_crop

PHOTOGRAPHS = PhotographReader(RGBContent())


def random_transform(
    picture: Image.Image,
    config: TransformConfig,
    generator: torch.Generator,
    key: str,
    reader: Reader = PHOTOGRAPHS,
) -> Tensor:
    """The training image of a picture: resized, cropped and flipped as `config` says."""
    return draw_crop(PixelSize(*picture.size), config, generator, key).image(picture, reader)


def center_transform(
    picture: Image.Image, config: TransformConfig, key: str, reader: Reader = PHOTOGRAPHS
) -> Tensor:
    """The evaluation image of a picture: resized, center crop, no flip."""
    return center_crop(PixelSize(*picture.size), config, key).image(picture, reader)

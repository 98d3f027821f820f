"""Condition on the image at a low resolution: stochastic super-resolution.

H, W: size of the image in pixels.
Reference: arXiv:2012.09841, Sec. 4.2 (iv): trained for a factor of 8.
"""

from collections.abc import Mapping
from typing import Literal

import torch.nn.functional as F
from PIL import Image
from pydantic import Field
from torch import Tensor

from smalti import ranges
from smalti.conditions.base import CONDITIONS, Setup
from smalti.conditions.grid import SpatialCondition, SpatialConfig
from smalti.config import InputError
from smalti.content import ContentConfig
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.pairing.base import MadePair, Paired, require_photographs
from smalti.data.readers import reader_of
from smalti.data.transforms import Crop


class LowResolutionConfig(SpatialConfig):
    """Options of the condition `low_resolution`: the grid of its codes, and the factor."""

    kind: Literal["low_resolution"] = "low_resolution"
    factor: int = Field(default=8, ge=2)
    """How many times smaller the sides of the condition are than the image's."""


class LowResolutionPair(MadePair):
    """The image shrunk and enlarged again: (3, H, W) float32 in [-1, 1].

    The small picture has 8 bits, so that a file of it gives the same condition.

    Args:
        factor: how many times smaller each side is, at least 2.
    """

    kind = "low_resolution"

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def check(self, content: ContentConfig, transform: TransformConfig) -> None:
        """Refuse images that are no photographs, or that the factor does not divide."""
        require_photographs(content, self.kind)
        height, width = transform.height_px, transform.width_px
        if height % self.factor or width % self.factor:
            raise InputError(
                f"image size {height}x{width} does not shrink by the factor {self.factor} of low "
                f"resolution: both sides must be multiples of {self.factor}"
            )

    def make(self, cropped: Image.Image, crop: Crop) -> Tensor:
        """Shrink and enlarge the RGB crop (3, H, W)."""
        image = enlarged(shrunk(cropped, self.factor), self.factor)
        return image.flip(-1) if crop.flip else image


@CONDITIONS.register("low_resolution")
class LowResolution(SpatialCondition[LowResolutionConfig]):
    """A small picture of the image.

    Values are the small pictures enlarged again to the size of the images: (B, 3, H, W) float32
    in [-1, 1].
    """

    kind = "low_resolution"
    content_kind = "rgb"
    shares_tokenizer = True

    @classmethod
    def pair(cls, setup: Setup) -> Paired:
        """Read each crop at a low resolution."""
        former: LowResolutionConfig | None = setup.former
        factor = setup.low_resolution_factor if former is None else former.factor
        return LowResolutionPair(factor)

    @classmethod
    def configure(cls, setup: Setup, dataset: ImageDataset) -> LowResolutionConfig:
        """Take the sizes of the tokenizer's codes, and the factor of the run."""
        return LowResolutionConfig(factor=setup.low_resolution_factor, **cls.sizes(setup))

    def run_options(self) -> Mapping[str, object]:
        """The factor, which must not change."""
        return {"low_resolution_factor": self.config.factor}

    def read(self, content: bytes, key: str) -> Tensor:
        """Read the small picture in a user's file and enlarge it by the factor: (3, H, W)."""
        small = reader_of(self.config.content).decode(content, key)
        return enlarged(small, self.config.factor)


def shrunk(picture: Image.Image, factor: int) -> Image.Image:
    """Shrink an RGB picture; Pillow's filter is antialiased."""
    size = (picture.width // factor, picture.height // factor)
    return picture.resize(size, Image.Resampling.BICUBIC)


def enlarged(small: Image.Image, factor: int) -> Tensor:
    """Enlarge a small RGB picture to an image (3, H, W) float32 in [-1, 1]."""
    image = F.interpolate(ranges.from_pil(small)[None], scale_factor=float(factor), mode="bicubic")
    return image[0].clamp(-1.0, 1.0)

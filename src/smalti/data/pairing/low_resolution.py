"""Each image at a low resolution: (3, H, W) float32 in [-1, 1].

H, W: size of the image in pixels.
Reference: arXiv:2012.09841, Sec. 4.2: stochastic superresolution.
"""

import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from smalti import ranges
from smalti.config import InputError
from smalti.content import ContentConfig, RGBContent
from smalti.data.config import TransformConfig
from smalti.data.pairing.base import PAIRED, MadePair
from smalti.data.pairing.photographs import require_photographs
from smalti.data.readers import reader_of
from smalti.data.transforms import Crop

PHOTOGRAPHS = RGBContent()


@PAIRED.register("low_resolution")
class LowResolutionPair(MadePair):
    """The image shrunk and enlarged again: (3, H, W) float32 in [-1, 1].

    The small picture has 8 bits, as a file of it has, so that such a file says the same.

    Args:
        factor: how many times smaller each side is.
        content: what a file of a small picture holds.

    Raises:
        InputError: the factor is below 2.
    """

    kind = "low_resolution"

    def __init__(self, factor: int, content: ContentConfig = PHOTOGRAPHS) -> None:
        if factor < 2:
            raise InputError(f"the factor of low resolution is {factor}; allowed are 2 and more")
        self.factor = factor
        self._reader = reader_of(content)

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
        """The RGB crop (3, H, W) as its small picture shows it."""
        image = self.enlarged(self.shrunk(cropped))
        return image.flip(-1) if crop.flip else image

    def read(self, content: bytes, key: str) -> Tensor:
        """The small picture in a file, enlarged by the factor: (3, H, W)."""
        return self.enlarged(self._reader.decode(content, key))

    def shrunk(self, picture: Image.Image) -> Image.Image:
        """The small picture of an RGB picture; Pillow's filter is antialiased."""
        size = (picture.width // self.factor, picture.height // self.factor)
        return picture.resize(size, Image.Resampling.BICUBIC)

    def enlarged(self, small: Image.Image) -> Tensor:
        """(3, H, W) float32 in [-1, 1] of a small RGB picture."""
        image = ranges.from_pil(small)[None]
        image = F.interpolate(image, scale_factor=float(self.factor), mode="bicubic")
        return image[0].clamp(-1.0, 1.0)

"""Where in its picture each pixel of an image lies: (1, H, W) float32 in [0, 1).

H, W: size of the image in pixels.
Reference: arXiv:2012.09841, Sec. 3.2: conditioning on coordinates, as the released code has it.
"""

import torch
from PIL import Image
from torch import Tensor

from smalti.config import InputError
from smalti.data.pairing.base import PAIRED, MadePair
from smalti.data.transforms import Crop


@PAIRED.register("coordinate_map")
class CoordinateMapPair(MadePair):
    """The share of the picture's pixels that come before each of the crop's, in reading order."""

    kind = "coordinate_map"

    def make(self, cropped: Image.Image, crop: Crop) -> Tensor:
        """The crop's part (1, H, W) of the picture's map, mirrored with it."""
        whole = whole_coordinate_map(crop.resized.height, crop.resized.width)
        rows = slice(crop.top, crop.top + crop.size.height)
        columns = slice(crop.left, crop.left + crop.size.width)
        part = whole[:, rows, columns]
        return part.flip(-1) if crop.flip else part

    def read(self, content: bytes, key: str) -> Tensor:
        """Refused: it follows from the size.

        Raises:
            InputError: always.
        """
        raise InputError(f"a coordinate map follows from the size asked for; leave {key} out")


def whole_coordinate_map(height: int, width: int) -> Tensor:
    """The map (1, height, width) float32 in [0, 1) of a whole picture."""
    pixels = height * width
    return (torch.arange(pixels, dtype=torch.float64) / pixels).float().view(1, height, width)

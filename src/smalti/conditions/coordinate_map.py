"""Condition on the place in the picture of each cell of the window, a token for each cell.

The released models of aligned faces have it. For new priors, `coordinates` tells the same in two
tokens.

Axes: B batch, H/W size in pixels, h/w grid of cells.
Reference: arXiv:2012.09841, Sec. 3.2 "Generating High-Resolution Images": conditioning on image
    coordinates.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from PIL import Image
from pydantic import Field
from torch import Tensor

from smalti.conditions.asked import Items
from smalti.conditions.base import CONDITIONS, Setup
from smalti.conditions.grid import GridCondition, GridConfig
from smalti.data.dataset import ImageDataset
from smalti.data.pairing.base import MadePair, Paired
from smalti.data.transforms import Crop

LEVELS = 1024
"""Number of different coordinates in a new run, as in the released models."""


class CoordinateMapConfig(GridConfig):
    """Options of the condition `coordinate_map`: its levels, and the size of a cell."""

    kind: Literal["coordinate_map"] = "coordinate_map"
    levels: int = Field(ge=2)
    """Number of different coordinates from the first pixel of a picture to its last."""
    cell_px: int = Field(ge=1)
    """Side of a cell in pixels."""


class CoordinateMapPair(MadePair):
    """For each pixel of the crop, the share of the picture's pixels before it, in [0, 1).

    The condition is (1, H, W) float32.
    """

    kind = "coordinate_map"

    def make(self, cropped: Image.Image, crop: Crop) -> Tensor:
        """Cut the crop (1, H, W) out of the picture's map; it is mirrored with the image."""
        whole = whole_coordinate_map(crop.resized.height, crop.resized.width)
        rows = slice(crop.top, crop.top + crop.size.height)
        columns = slice(crop.left, crop.left + crop.size.width)
        cut = whole[:, rows, columns]
        return cut.flip(-1) if crop.flip else cut


@CONDITIONS.register("coordinate_map")
class CoordinateMap(GridCondition[CoordinateMapConfig]):
    """The share of the picture's pixels that come before each cell, in reading order.

    Values are (B, 1, H, W) float32 in [0, 1): for each pixel, the share of the whole picture's
    pixels before it. Codes (B, h, w) int64 in [0, levels) are the means over cells, scaled and
    rounded.
    """

    kind = "coordinate_map"
    is_asked = False
    has_default = True

    @classmethod
    def pair(cls, setup: Setup) -> Paired:
        """Read the map of each crop."""
        return CoordinateMapPair()

    @classmethod
    def configure(cls, setup: Setup, dataset: ImageDataset) -> CoordinateMapConfig:
        """Take a token for each cell of the images."""
        return CoordinateMapConfig(
            levels=LEVELS,
            cell_px=setup.cell_px,
            grid_height=setup.height_px // setup.cell_px,
            grid_width=setup.width_px // setup.cell_px,
        )

    @property
    def vocab_size(self) -> int:
        """Number of levels, and one more for "anywhere"."""
        return self.config.levels + 1

    def values(self, asked: Items, count: int, size_px: tuple[int, int] | None = None) -> Tensor:
        """Make the map (count, 1, H, W) of whole pictures of a size."""
        assert size_px is not None, "the map follows from the size"
        return whole_coordinate_map(*size_px).expand(count, -1, -1, -1)

    def encode(self, values: Tensor) -> Tensor:
        """Codes (B, h, w) int64 in [0, levels) of maps of any size that the cells divide."""
        means = F.avg_pool2d(values, self.config.cell_px)[:, 0]
        levels = self.config.levels
        # Only the last cells of pictures of more than `levels` rows of cells round up to `levels`.
        return (levels * means).round().long().clamp(max=levels - 1)


def whole_coordinate_map(height: int, width: int) -> Tensor:
    """The map (1, height, width) float32 in [0, 1) of a whole picture."""
    pixels = height * width
    return (torch.arange(pixels, dtype=torch.float64) / pixels).float().view(1, height, width)

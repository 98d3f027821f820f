"""Condition on the place of the window in the picture: a token for its row, one for its column.

Reference: arXiv:2012.09841, Sec. 3.2 "Generating High-Resolution Images": conditioning on
    coordinates for images that are aligned; Lin et al. 2019, "COCO-GAN", arXiv:1904.00284.
Deviation: the released code has a token for every cell; two tokens tell the same.
"""

from typing import Literal

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from smalti.conditions.asked import Items
from smalti.conditions.base import CONDITIONS, Condition, Setup
from smalti.config import Config
from smalti.data.dataset import ImageDataset
from smalti.data.decode import BrokenImageError
from smalti.data.order import numbers_to_check
from smalti.data.pairing.base import MadePair, Paired
from smalti.data.transforms import Crop, resized_size
from smalti.types import Window


class CoordinatesConfig(Config):
    """Options of the condition `coordinates`: the number of positions of a window."""

    kind: Literal["coordinates"] = "coordinates"
    rows: int = Field(ge=1)
    """Number of positions of a window between top and bottom of the training pictures."""
    columns: int = Field(ge=1)
    """Number of positions of a window between left and right of the training pictures."""


class CoordinatesPair(MadePair):
    """Relative place (2,) float32 in [0, 1] of the crop in the picture: down, then right."""

    kind = "coordinates"

    def make(self, cropped: Image.Image, crop: Crop) -> Tensor:
        """Make (2,) float32: top and left as shares of the room; left is mirrored with the crop."""
        room = crop.room
        left = room.width - crop.left if crop.flip else crop.left
        return torch.tensor([crop.top / max(room.height, 1), left / max(room.width, 1)])


@CONDITIONS.register("coordinates")
class Coordinates(Condition[CoordinatesConfig]):
    """Row and column of the window's top left cell, relative to the window's room in the picture.

    In pictures of the training size each cell has different numbers; in larger ones, neighbours
    share numbers. Values are (B, 2) float32 in [0, 1]: how far down and how far right the window
    lies, 0 without room. Codes are the rounded positions (B, 2) int64.
    """

    kind = "coordinates"
    is_asked = False
    moves_with_window = True
    has_default = True
    length = 2

    @classmethod
    def pair(cls, setup: Setup) -> Paired:
        """Read the place of each crop."""
        return CoordinatesPair()

    @classmethod
    def configure(cls, setup: Setup, dataset: ImageDataset) -> CoordinatesConfig:
        """Take as many positions as the window has in the largest of the pictures.

        Raises:
            InputError: a picture is smaller than the crop, and `small` is error.
        """
        height, width = picture_room(dataset)
        return CoordinatesConfig(
            rows=(height - setup.height_px) // setup.cell_px + 1,
            columns=(width - setup.width_px) // setup.cell_px + 1,
        )

    @property
    def vocab_size(self) -> int:
        """Number of rows and columns, and one more for "anywhere"."""
        return self.config.rows + self.config.columns + 1

    def values(self, asked: Items, count: int, size_px: tuple[int, int] | None = None) -> Tensor:
        """Zeros (count, 2); `at` gives each window its place."""
        return torch.zeros(count, 2)

    def encode(self, values: Tensor) -> Tensor:
        """Encode places into codes (B, 2) int64: row in [0, rows), column in [0, columns)."""
        steps = torch.tensor([self.config.rows - 1, self.config.columns - 1], device=values.device)
        return (values * steps).round().long()

    def at(self, codes: Tensor, window: Window) -> Tensor:
        """Codes (B, 2) int64 of the place of the window, by its room in the canvas.

        Along a side without room, the window lies where the canvas does, which `codes` (B, 2) tell.
        """
        room = (window.canvas_height - window.height, window.canvas_width - window.width)
        place = (window.top / max(room[0], 1), window.left / max(room[1], 1))
        of_window = self.encode(torch.tensor([place], device=codes.device))
        return torch.where(torch.tensor(room, device=codes.device) > 0, of_window, codes)

    def tokens(self, codes: Tensor) -> Tensor:
        """Tokens (B, 2) int64 of row and column; the columns' numbers follow those of the rows."""
        return codes + torch.tensor([0, self.config.rows], device=codes.device)

    def blank(self, count: int) -> Tensor:
        """Codes (count, 2) int64 of the top left place."""
        return torch.zeros(count, 2, dtype=torch.int64)


def picture_room(dataset: ImageDataset) -> tuple[int, int]:
    """Largest height and largest width of the data set's pictures, resized but not yet cropped.

    Of more than `MOST_IMAGES_CHECKED` pictures, that many at even distances are checked.

    Raises:
        InputError: a picture is smaller than the crop, and `small` is error.
    """
    height, width = dataset.transform.height_px, dataset.transform.width_px
    for index in numbers_to_check(len(dataset)):
        try:
            raw = dataset.raw(index)
            resized = resized_size(raw.header().size, dataset.transform, raw.key)
        except BrokenImageError:
            continue  # named and skipped when it is read
        height, width = max(height, resized.height), max(width, resized.width)
    return height, width

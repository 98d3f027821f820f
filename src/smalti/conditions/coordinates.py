"""Condition on where in the picture the window lies: a token for its row, one for its column.

Reference: arXiv:2012.09841, Sec. 3.2 "Generating High-Resolution Images": conditioning on
    coordinates for images that are aligned; Lin et al. 2019, "COCO-GAN", arXiv:1904.00284.
Deviation: the released code gives every cell a token of its own; two tokens say the same.
"""

from typing import Literal, NamedTuple

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from smalti.conditions.asked import Items
from smalti.conditions.base import CONDITIONS, Condition, Setup
from smalti.config import Config
from smalti.data.dataset import ImageDataset
from smalti.data.decode import BrokenImageError
from smalti.data.headers import numbers_to_check, upright_size
from smalti.data.pairing import MadePair, Paired
from smalti.data.transforms import Crop, resized_size
from smalti.types import Window


class CoordinatesConfig(Config):
    """Config of `Coordinates`."""

    kind: Literal["coordinates"] = "coordinates"
    rows: int = Field(ge=1)
    """Positions of a window from the top of the training pictures to the bottom, in cells."""
    columns: int = Field(ge=1)
    """Positions of a window from the left of the training pictures to the right, in cells."""


class CoordinatesPair(MadePair):
    """How far down and how far right the crop lies: (2,) float32 in [0, 1], 0 without room."""

    kind = "coordinates"

    def make(self, cropped: Image.Image, crop: Crop) -> Tensor:
        """(2,) float32: top and left, each of the room that there is; left is mirrored too."""
        room = crop.room
        left = room.width - crop.left if crop.flip else crop.left
        return torch.tensor([crop.top / max(room.height, 1), left / max(room.width, 1)])


@CONDITIONS.register("coordinates")
class Coordinates(Condition[CoordinatesConfig]):
    """Row and column of the window's top left cell, relative to the room it has in the picture.

    In pictures of the size trained on, each cell has numbers of its own; in larger ones,
    neighbours share them. Values are (B, 2) float32 in [0, 1]: how far down and how far right the
    window lies, 0 where there is no room. Codes are the rounded positions (B, 2) int64.
    """

    kind = "coordinates"
    is_asked = False
    has_default = True
    length = 2

    @classmethod
    def pair(cls, setup: Setup) -> Paired:
        """The place of each crop."""
        return CoordinatesPair()

    @classmethod
    def configure(cls, setup: Setup, dataset: ImageDataset) -> CoordinatesConfig:
        """As many positions as the window has in the largest of the pictures.

        Raises:
            InputError: a picture is smaller than the crop, and that is an error.
        """
        room = picture_room(dataset)
        return CoordinatesConfig(
            rows=(room.height_px - setup.height_px) // setup.cell_px + 1,
            columns=(room.width_px - setup.width_px) // setup.cell_px + 1,
        )

    @property
    def vocab_size(self) -> int:
        """A value for each row, then for each column, then one for "anywhere"."""
        return self.config.rows + self.config.columns + 1

    def values(self, asked: Items, count: int, size_px: tuple[int, int] | None = None) -> Tensor:
        """Zeros (count, 2): each window has its own place, see `at`."""
        return torch.zeros(count, 2)

    def encode(self, values: Tensor) -> Tensor:
        """Codes (B, 2) int64: row in [0, rows), column in [0, columns)."""
        steps = torch.tensor([self.config.rows - 1, self.config.columns - 1], device=values.device)
        return (values * steps).round().long()

    def at(self, codes: Tensor, window: Window) -> Tensor:
        """Codes (B, 2) int64 of the window, wherever the canvas's own (B, 2) say that it lies."""
        room = (window.canvas_height - window.height, window.canvas_width - window.width)
        place = (window.top / max(room[0], 1), window.left / max(room[1], 1))
        return self.encode(torch.tensor([place], device=codes.device)).expand(len(codes), 2)

    def tokens(self, codes: Tensor) -> Tensor:
        """Tokens (B, 2) int64: row, then column, whose numbers follow those of the rows."""
        return codes + torch.tensor([0, self.config.rows], device=codes.device)

    def blank(self, count: int) -> Tensor:
        """Codes (count, 2) int64 of the top left place."""
        return torch.zeros(count, 2, dtype=torch.int64)


class PictureRoom(NamedTuple):
    """The largest height and the largest width of pictures."""

    height_px: int
    width_px: int


def picture_room(dataset: ImageDataset) -> PictureRoom:
    """The largest sides of the data set's pictures once they are resized, before they are cropped.

    Of more than `MAX_HEADERS` pictures, as many at even distances are looked at.

    Raises:
        InputError: one is smaller than the crop, and that is an error.
    """
    height, width = dataset.transform.height_px, dataset.transform.width_px
    for index in numbers_to_check(len(dataset)):
        try:
            raw = dataset.raw(index)
            resized = resized_size(upright_size(raw), dataset.transform, raw.key)
        except BrokenImageError:
            continue  # named and skipped when it is read
        height, width = max(height, resized.height), max(width, resized.width)
    return PictureRoom(height, width)

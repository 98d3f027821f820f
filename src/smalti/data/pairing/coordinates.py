"""Where in its picture each image lies: (2,) float32 in [0, 1].

Reference: arXiv:2012.09841, Sec. 3.2: conditioning on coordinates.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from smalti.config import InputError
from smalti.data.decode import BrokenImageError
from smalti.data.headers import looked_at, upright_size
from smalti.data.pairing.base import PAIRED, MadePair
from smalti.data.transforms import Crop, resized_size

if TYPE_CHECKING:
    from smalti.data.dataset import ImageDataset


@PAIRED.register("coordinates")
class CoordinatesPair(MadePair):
    """How far down and how far right the crop lies: (2,) float32 in [0, 1], 0 without room."""

    kind = "coordinates"

    def make(self, cropped: Image.Image, crop: Crop) -> Tensor:
        """(2,) float32: top and left, each of the room that there is; left is mirrored too."""
        room = crop.room
        left = room.width - crop.left if crop.flip else crop.left
        return torch.tensor([crop.top / max(room.height, 1), left / max(room.width, 1)])

    def read(self, content: bytes, key: str) -> Tensor:
        """Refused: a prior gives its window's place itself.

        Raises:
            InputError: always.
        """
        raise InputError(f"coordinates follow from the size asked for; leave {key} out")


class PictureRoom(NamedTuple):
    """The largest height and the largest width of pictures."""

    height_px: int
    width_px: int


def picture_room(dataset: "ImageDataset") -> PictureRoom:
    """The largest sides of the data set's pictures once they are resized, before they are cropped.

    Of more than `MAX_HEADERS` pictures, as many at even distances are looked at.

    Raises:
        InputError: one is smaller than the crop, and that is an error.
    """
    height, width = dataset.transform.height_px, dataset.transform.width_px
    for index in looked_at(len(dataset)):
        try:
            raw = dataset.raw(index)
            resized = resized_size(upright_size(raw), dataset.transform, raw.key)
        except BrokenImageError:
            continue  # named and skipped when it is read
        height, width = max(height, resized.height), max(width, resized.width)
    return PictureRoom(height, width)

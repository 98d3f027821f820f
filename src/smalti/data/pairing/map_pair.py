"""Pairs that are maps of the image's size: each pixel says something of the pixel there."""

from PIL import Image
from torch import Tensor

from smalti.content import ContentConfig
from smalti.data.pairing.base import FilePair
from smalti.data.readers import reader_of
from smalti.data.transforms import Crop, PixelSize
from smalti.data.upright import upright


class MapPair(FilePair[Image.Image]):
    """A map beside each image.

    Args:
        content: what the maps are.
    """

    def __init__(self, content: ContentConfig) -> None:
        self._reader = reader_of(content)

    def read(self, content: bytes, key: str) -> Tensor:
        """The whole map of a file, as the content says."""
        return self._reader.to_image(self.decode(content, key))

    def decode(self, content: bytes, key: str) -> Image.Image:
        """The map as a picture whose values are intact; see the reader of its content."""
        return self._reader.decode(content, key)

    def size(self, found: Image.Image) -> PixelSize:
        """The map's own."""
        return PixelSize(*found.size)

    def turned(self, found: Image.Image, orientation: int) -> Image.Image:
        """The map turned as its image is."""
        return upright(found, orientation)

    def cut(self, found: Image.Image, size: PixelSize, crop: Crop) -> Tensor:
        """The map of the crop, as the content says."""
        return crop.image(found, self._reader)

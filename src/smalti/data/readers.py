"""Readers turn files into image tensors; there is one for each kind of content.

H, W: size of the picture or of its crop in pixels.
"""

import abc
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from smalti import ranges
from smalti.content import (
    DEEP_TOP,
    ContentConfig,
    DepthContent,
    EdgesContent,
    LabelsContent,
    RGBContent,
)
from smalti.content_images import LabelMaps
from smalti.data.decode import BrokenImageError, UprightPicture, load_picture, map_of, rgb_of
from smalti.registry import Registry


class Reader(abc.ABC):
    """Reads the pictures of one kind of content; built as `kind(content)`."""

    resampling: ClassVar[Image.Resampling] = Image.Resampling.BICUBIC
    """Filter by which pictures are resized."""

    def decode(self, content: bytes, key: str) -> Image.Image:
        """Decode the picture in a file's bytes; `key` names it in messages.

        Raises:
            BrokenImageError: it cannot be read.
            InputError: it is a picture of another kind.
        """
        return self.convert(load_picture(content, key), key)

    @abc.abstractmethod
    def convert(self, read: UprightPicture, key: str) -> Image.Image:
        """Convert a decoded picture of any layout into one whose values are the content's.

        Raises:
            BrokenImageError: its values are not those of the content.
            InputError: it is a picture of another kind.
        """

    @abc.abstractmethod
    def to_image(self, picture: Image.Image) -> Tensor:
        """Make the image tensor, as the content says, of a decoded picture or a crop of one."""


READERS: Registry[Reader] = Registry("content")


def reader_of(content: ContentConfig) -> Reader:
    """The reader of a content's kind."""
    return READERS.build(content)


@READERS.register("rgb")
class PhotographReader(Reader):
    """Photographs of any colour layout, read as RGB: (3, H, W) float32 in [-1, 1]."""

    def __init__(self, content: RGBContent) -> None:
        self._white_level = content.white_level

    def convert(self, read: UprightPicture, key: str) -> Image.Image:
        """Make the RGB picture; see `decode_image`."""
        return rgb_of(read, key, white_level=self._white_level)

    def to_image(self, picture: Image.Image) -> Tensor:
        """Make the image (3, H, W) float32 in [-1, 1]."""
        return ranges.from_pil(picture)


@READERS.register("edges")
class EdgeReader(Reader):
    """Edges of photographs by Canny's method: (1, H, W) float32, 1 on an edge, else -1.

    Reference: Canny 1986, "A computational approach to edge detection", IEEE TPAMI 8(6).
    """

    def __init__(self, content: EdgesContent) -> None:
        self.sigma = content.sigma
        self._white_level = content.white_level

    def convert(self, read: UprightPicture, key: str) -> Image.Image:
        """Make the photograph: its edges are found later, as they do not survive resizing."""
        return rgb_of(read, key, white_level=self._white_level)

    def to_image(self, picture: Image.Image) -> Tensor:
        """Find the edges (1, H, W) of an RGB picture that has its final size."""
        from skimage.feature import canny  # slow to import, and only edges need it

        grey = np.asarray(picture.convert("L"), dtype=np.float32) / 255
        edges = torch.from_numpy(canny(grey, self.sigma))  # type: ignore[no-untyped-call]
        return (2.0 * edges.float() - 1.0)[None]


@READERS.register("labels")
class LabelReader(Reader):
    """Label maps of 1 to 16 bits, or the numbers of a palette's colours: (H, W) int64."""

    resampling = Image.Resampling.NEAREST  # a mean of two labels is a third one

    def __init__(self, content: LabelsContent) -> None:
        self._maps = LabelMaps(content)

    def convert(self, read: UprightPicture, key: str) -> Image.Image:
        """Make a picture of mode I whose values are checked labels, or `IGNORED`."""
        numbers = map_of(read, key).numbers.astype(np.int64)
        return Image.fromarray(self._maps.from_numbers(numbers, key))

    def to_image(self, picture: Image.Image) -> Tensor:
        """Make the label map (H, W) int64."""
        return torch.from_numpy(np.asarray(picture).astype(np.int64))


@READERS.register("depth")
class DepthReader(Reader):
    """Maps of one channel, 8 or 16 bits, each over its full range: (1, H, W) float32 in [-1, 1].

    Floats have no fixed range: each map of floats is stretched to the full range. They are stored
    in a TIFF or, as in the released code's files, in the four bytes of each pixel of an RGBA PNG.
    """

    def __init__(self, content: DepthContent) -> None:
        self._white_level = content.white_level

    def convert(self, read: UprightPicture, key: str) -> Image.Image:
        """Make a picture of mode F with values in [0, 65535].

        8-bit values are spread over this range, and with a white level the values up to it. Other
        floats are stretched: the lowest of a map becomes 0 and the highest 65535; a map of one
        value becomes 0.
        """
        numbers, top = map_of(read, key, allow_floats=True)
        numbers = numbers.astype(np.float32)
        wrong = np.count_nonzero(~np.isfinite(numbers))
        if wrong:
            raise BrokenImageError(key, f"{wrong} of its depths are infinite or not a number")
        if self._white_level is not None:
            numbers, top = np.minimum(numbers, self._white_level), self._white_level
        if top is None:
            return Image.fromarray(_stretched(numbers))
        lowest, highest = numbers.min(), numbers.max()
        if lowest < 0 or highest > top:
            reason = f"its values, {lowest:g} to {highest:g}, are not in [0, {top}]"
            raise BrokenImageError(key, reason)
        return Image.fromarray(numbers * np.float32(DEEP_TOP / top))

    def to_image(self, picture: Image.Image) -> Tensor:
        """Make the depth map (1, H, W) float32 in [-1, 1]."""
        values = torch.from_numpy(np.array(picture))[None]
        # A bicubic filter overshoots beside a jump.
        return ranges.from_uint16(values).clamp(-1.0, 1.0)


def _stretched(depths: NDArray[np.float32]) -> NDArray[np.float32]:
    """Stretch depths (H, W): the lowest becomes 0 and the highest 65535."""
    wide = depths.astype(np.float64)
    wide -= wide.min()
    return (wide * (65535 / max(wide.max(), 1e-8))).astype(np.float32)

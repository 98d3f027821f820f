"""The abstract classes of paired data, which is read with each image of a data set.

H, W: size of the crop in pixels.
"""

import abc
from collections.abc import Iterable, Sequence
from typing import ClassVar, Generic, Self, TypeVar

from PIL import Image
from torch import Tensor

from smalti.config import InputError
from smalti.content import ContentConfig, EdgesContent, RGBContent
from smalti.data.config import TransformConfig
from smalti.data.decode import PixelSize
from smalti.data.pairing.matching import Partners, open_beside
from smalti.data.sources.base import ImageSource
from smalti.data.transforms import Crop

Decoded = TypeVar("Decoded")
"""Type to which the file of a kind is decoded."""


class Paired(abc.ABC):
    """How one kind of condition is read with each image of a data set."""

    kind: ClassVar[str]
    """Name of the condition."""

    def remarks(self, transform: TransformConfig) -> Iterable[str]:
        """Lines to log at the start of a run, on what `transform` does to the condition."""
        return ()


class MadePair(Paired):
    """A condition that is made of the image itself."""

    def check(self, content: ContentConfig, transform: TransformConfig) -> None:
        """Refuse images of which the condition cannot be made.

        Raises:
            InputError: it cannot be made of `content` or with `transform`.
        """

    @abc.abstractmethod
    def make(self, cropped: Image.Image, crop: Crop) -> Tensor:
        """Make the condition of an image of what `crop.cut` returned, which is not mirrored yet."""


class FilePair(Paired, Generic[Decoded]):
    """A condition that is read from a file beside the image."""

    part: ClassVar[str]
    """Name of the folder or column of the files; see `smalti.data.sources.parts`."""

    @classmethod
    def partners(cls, images: ImageSource) -> Partners:
        """Open the files beside a source of images.

        Raises:
            InputError: there are no such files.
        """
        return Partners(open_beside(images, cls.part))

    def settled(self, partners: Sequence[Partners], scenes: Sequence[Sequence[str]]) -> Self:
        """Fill in the options that only the files tell.

        Args:
            partners: the files of each source.
            scenes: for each source, the scenes that have an image and a file.

        Raises:
            InputError: the files do not tell an option.
        """
        return self

    @abc.abstractmethod
    def decode(self, content: bytes, key: str) -> Decoded:
        """Decode a file, for the whole picture.

        Raises:
            BrokenImageError: it cannot be read.
            InputError: it is of another kind.
        """

    def size(self, decoded: Decoded) -> PixelSize | None:
        """Size that the picture must have, or None if any size fits the file."""
        return None

    def turned(self, decoded: Decoded, orientation: int) -> Decoded:
        """Turn the content of a file by the EXIF orientation of its image."""
        return decoded

    @abc.abstractmethod
    def cut(self, decoded: Decoded, size: PixelSize, crop: Crop) -> Tensor:
        """Make the condition of a crop of a picture, whose `size` is that before it is resized."""


def require_photographs(content: ContentConfig, kind: str) -> None:
    """Refuse images that are not read from photographs, of which a condition would be made.

    Raises:
        InputError: they are of another content.
    """
    if not isinstance(content, RGBContent | EdgesContent):
        raise InputError(
            f"the condition {kind} is made of photographs, but the images are {content.kind}; "
            "allowed are rgb and edges"
        )

"""What all kinds of paired data have in common: data that is read with each image of a data set.

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
from smalti.data.pairing.matching import Partners, open_beside
from smalti.data.sources.base import ImageSource
from smalti.data.transforms import Crop, PixelSize

Decoded = TypeVar("Decoded")
"""What a kind's file is decoded to."""


class Paired(abc.ABC):
    """How one kind of condition is read with each image of a data set."""

    kind: ClassVar[str]
    """Name of the condition."""

    def remarks(self, transform: TransformConfig) -> Iterable[str]:
        """Lines for the start of a run, on what `transform` does to the condition."""
        return ()


class MadePair(Paired):
    """A condition that is made of the image itself."""

    def check(self, content: ContentConfig, transform: TransformConfig) -> None:
        """Refuse images that it cannot be made of.

        Raises:
            InputError: with what is allowed.
        """

    @abc.abstractmethod
    def make(self, cropped: Image.Image, crop: Crop) -> Tensor:
        """The condition of an image.

        Args:
            cropped: what `crop.cut` gives: not mirrored yet.
            crop: of the image.
        """


class FilePair(Paired, Generic[Decoded]):
    """A condition that lies in a file of its own beside the image."""

    part: ClassVar[str]
    """Folder of the files; see `smalti.data.sources.parts`."""

    @classmethod
    def partners(cls, images: ImageSource) -> Partners:
        """The files beside a source of images.

        Raises:
            InputError: there are none.
        """
        return Partners(open_beside(images, cls.part))

    def settled(self, partners: Sequence[Partners], scenes: Sequence[Sequence[str]]) -> Self:
        """This kind with what only the files tell filled in.

        Args:
            partners: the files, by source.
            scenes: of each source, the scenes that have an image and a file.

        Raises:
            InputError: the files do not tell.
        """
        return self

    @abc.abstractmethod
    def decode(self, content: bytes, key: str) -> Decoded:
        """What a file holds, for the whole picture.

        Raises:
            BrokenImageError: it cannot be read.
            InputError: it is of another kind.
        """

    def size(self, decoded: Decoded) -> PixelSize | None:
        """Size that the picture must have, where the file has one."""
        return None

    def turned(self, decoded: Decoded, orientation: int) -> Decoded:
        """What a file holds, turned by the EXIF orientation of its image."""
        return decoded

    @abc.abstractmethod
    def cut(self, decoded: Decoded, size: PixelSize, crop: Crop) -> Tensor:
        """The condition of a crop.

        Args:
            decoded: what `decode` gives.
            size: of the whole picture before it is resized.
            crop: of the picture.
        """


def require_photographs(content: ContentConfig, kind: str) -> None:
    """Refuse images that are not read from photographs.

    Args:
        content: of the images.
        kind: of the condition that is made of them.

    Raises:
        InputError: with what they are.
    """
    if not isinstance(content, RGBContent | EdgesContent):
        raise InputError(
            f"the condition {kind} is made of photographs, but the images are {content.kind}; "
            "allowed are rgb and edges"
        )

"""What all kinds of paired data share.

H, W: size of the crop in pixels.
"""

import abc
from collections.abc import Sequence
from typing import ClassVar, Generic, Self, TypeVar

from PIL import Image
from torch import Tensor

from smalti.content import ContentConfig
from smalti.data.config import TransformConfig
from smalti.data.pairing.matching import Partners, open_beside
from smalti.data.sources.base import ImageSource
from smalti.data.transforms import Crop, PixelSize
from smalti.registry import Registry

Found = TypeVar("Found")
"""What a kind's file is decoded to."""


class Paired(abc.ABC):
    """One kind of condition, as it is found in data and in a user's file.

    Its values have the form that the conditioner of the same kind takes.
    """

    kind: ClassVar[str]
    """Name of the condition."""

    @abc.abstractmethod
    def read(self, content: bytes, key: str) -> Tensor:
        """The whole condition in a file that a user gives for sampling.

        Args:
            content: the file's bytes.
            key: where they came from, for messages.

        Raises:
            BrokenImageError: it cannot be read.
            InputError: it does not hold such a condition.
        """


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


class FilePair(Paired, Generic[Found]):
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
    def decode(self, content: bytes, key: str) -> Found:
        """What a file holds, for the whole picture.

        Raises:
            BrokenImageError: it cannot be read.
            InputError: it is of another kind.
        """

    def size(self, found: Found) -> PixelSize | None:
        """Size that the picture must have, where the file has one."""
        return None

    def turned(self, found: Found, orientation: int) -> Found:
        """What a file holds, turned by the EXIF orientation of its image."""
        return found

    @abc.abstractmethod
    def cut(self, found: Found, size: PixelSize, crop: Crop) -> Tensor:
        """The condition of a crop.

        Args:
            found: what `decode` gives.
            size: of the whole picture before it is resized.
            crop: of the picture.
        """


PAIRED: Registry[Paired] = Registry("paired kind")
"""Kinds of paired data, by the name of their condition."""

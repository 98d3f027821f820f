"""The abstract class of what makes files of photographs for one kind of condition."""

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from smalti.annotate.networks import Network
from smalti.content import ContentConfig
from smalti.content_images import content_images
from smalti.data.readers import reader_of

MARK = "smalti annotate"
"""Key in each made file, under which the hash of the weights stands that made it."""


class Annotator(abc.ABC):
    """Makes the files of one kind of condition from photographs."""

    kind: ClassVar[str]
    """Name of the condition."""
    part: ClassVar[str]
    """Folder of the files beside that of the photographs."""
    suffix: ClassVar[str]
    """Ending of the files."""
    default_model: ClassVar[str]
    """Model of the hub that is used if the user names none."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self.networks = networks

    @classmethod
    @abc.abstractmethod
    def load(cls, models: Mapping[str, str], device: torch.device) -> Self:
        """Load the networks.

        Args:
            models: names that the user gave, by `model` and, for poses, `detector`.
            device: where they compute.

        Raises:
            InputError: a network is not there or of another task, or transformers is missing.
        """

    @property
    def maker(self) -> str:
        """Text that changes with the weights of the networks."""
        return " ".join(network.fingerprint for network in self.networks)

    @abc.abstractmethod
    def annotate(self, pictures: Sequence[Image.Image]) -> list[Any]:
        """Make what the files hold from RGB pictures of one size."""

    @abc.abstractmethod
    def write(self, made: Any, path: Path) -> None:
        """Write what `annotate` made of a picture into a file."""

    @abc.abstractmethod
    def maker_of(self, path: Path) -> str | None:
        """Text `maker` of what made a file, or None if it was made by something else."""

    @abc.abstractmethod
    def draw(self, path: Path, picture: Image.Image) -> Image.Image:
        """Read a file as the training does, and make a picture of it to look at.

        Raises:
            BrokenImageError: it cannot be read.
            InputError: it holds something else.
        """

    @abc.abstractmethod
    def training(self, tokenizer: str) -> str | None:
        """Options of `smalti train vqgan` for the tokenizer of the files; None if they need none.

        Args:
            tokenizer: folder of the run.
        """


class MapAnnotator(Annotator):
    """Base class of annotators whose files are maps of the size of the photograph."""

    suffix = ".png"
    content: ContentConfig
    """What the maps are, as their tokenizer reads them."""

    def write(self, made: Tensor, path: Path) -> None:
        """Write a map as a PNG; see the content for its shape and range."""
        info = PngImagePlugin.PngInfo()
        info.add_text(MARK, self.maker)
        content_images(self.content).to_picture(made).save(path, pnginfo=info)

    def maker_of(self, path: Path) -> str | None:
        """The text in the head of a PNG."""
        try:
            with Image.open(path, formats=["PNG"]) as picture:
                return picture.info.get(MARK)
        except OSError:
            return None  # somebody's own file

    def draw(self, path: Path, picture: Image.Image) -> Image.Image:
        """Draw a map: depth in greys, a label map in colours."""
        reader = reader_of(self.content)
        image = reader.to_image(reader.decode(path.read_bytes(), str(path)))
        return content_images(self.content).draw(image)

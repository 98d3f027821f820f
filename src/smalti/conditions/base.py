"""What all kinds of conditions have in common, and their registry.

Axes: B batch, n images, h/w grid of codes.
"""

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import torch
from PIL import Image
from torch import Tensor

from smalti.conditions.asked import Items
from smalti.config import Config
from smalti.data.dataset import ImageDataset
from smalti.data.pairing import FilePair, Paired
from smalti.registry import Registry
from smalti.tokenizer.base import Tokenizer
from smalti.types import Batch, Window

C = TypeVar("C", bound=Config)
"""Config of a kind."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What of a run decides how a condition is read and which config it has."""

    height_px: int
    """Height of the run's images, in pixels."""
    width_px: int
    """Width of the run's images, in pixels."""
    cell_px: int
    """f of the tokenizer of the images: side in pixels of the place that a code stands for."""
    low_resolution_factor: int
    """How many times smaller each side of a low resolution is than the image's."""
    tokenizer: Tokenizer | None = None
    """Tokenizer of the condition, for the kinds that need one."""
    former: Any = None
    """Config of the condition in the prior that the run begins with; None without such a prior."""


class Condition(abc.ABC, Generic[C]):
    """One thing that a prior knows of an image before it draws it: a class, a map, a pose.

    The data set or a user gives its *values* for whole images. They become *codes*, which are
    stored for whole images. The codes of a window, the part of the image that the prior looks at,
    become *tokens*, which stand before those of the image. Shape, dtype and range of values and
    codes are each kind's own; docs/tasks.md has them in a table.

    Args:
        config: of the kind.
        tokenizer: of the condition, for the kinds that need one; None where nothing is encoded.
    """

    kind: ClassVar[str]
    """Its name in configs, in commands, and among values and codes."""
    content_kind: ClassVar[str | None] = None
    """Kind of content of the tokenizer that it needs; None for a kind that needs none."""
    shares_tokenizer: ClassVar[bool] = False
    """Whether the tokenizer of the images serves where no other one is named."""
    files: ClassVar[type[FilePair[Any]] | None] = None
    """How its files are read that lie beside the images; None for a kind without such files."""
    needs_classes: ClassVar[bool] = False
    """Whether it needs the classes of the data set."""
    is_asked: ClassVar[bool] = True
    """Whether a user can ask for it; False where its values follow from the size of the images."""
    has_default: ClassVar[bool] = False
    """Whether it has values where a user does not ask for it."""

    def __init__(self, config: C, tokenizer: Tokenizer | None = None) -> None:
        self.config = config
        self.tokenizer = tokenizer

    def __str__(self) -> str:
        """The condition in a few words, for messages."""
        return self.kind

    # In a run

    @classmethod
    def pair(cls, setup: Setup) -> Paired | None:
        """How the condition is read with each image of a data set; None where it need not be."""
        return None

    @classmethod
    @abc.abstractmethod
    def configure(cls, setup: Setup, dataset: ImageDataset) -> C:
        """The config of the condition in a run with a new prior.

        Args:
            setup: of the run.
            dataset: the training images, read with what `pair` gives.

        Raises:
            InputError: the data set or the setup has not what the condition needs.
        """

    def config_for(self, dataset: ImageDataset) -> C:
        """The config of the condition in a run on `dataset` that begins with this one's prior.

        Raises:
            InputError: the data set does not fit the prior.
        """
        return self.config

    def run_options(self) -> Mapping[str, object]:
        """Options of a run that begins with this condition's prior and must be as it has them."""
        return {}

    # Values, codes, tokens

    @property
    @abc.abstractmethod
    def length(self) -> int:
        """Number of its tokens."""

    @property
    @abc.abstractmethod
    def vocab_size(self) -> int:
        """Number of values of a token; the last value stands for the dropped condition."""

    def batch_values(self, batch: Batch) -> Tensor | None:
        """Values (B, ...) of the images of a batch; None if the batch lacks them."""
        return batch.conditions.get(self.kind)

    @abc.abstractmethod
    def values(self, asked: Items, count: int, size_px: tuple[int, int] | None = None) -> Tensor:
        """Values (count, ...) of what a user asks for, which the images take in turn.

        Args:
            asked: by the user; None if the user does not ask for this condition.
            count: number of images.
            size_px: height and width of the images in pixels; None where `is_asked`, as the size
                may follow from these values.

        Raises:
            InputError: there is no such thing, or it cannot be read, or must be asked for.
        """

    def encode(self, values: Tensor) -> Tensor:
        """Codes (B, ...) of values (B, ...).

        A cache of codes knows the data, the size of the crops and the tokenizers. So codes may
        depend on nothing else, and on the config as far as that follows from these.
        """
        return values

    def at(self, codes: Tensor, window: Window) -> Tensor:
        """Codes (B, ...) of a window, of the codes (B, ...) of whole images."""
        return codes

    @abc.abstractmethod
    def tokens(self, codes: Tensor) -> Tensor:
        """Tokens (B, length) int64 in [0, vocab_size - 1) of the codes (B, ...) of a window."""

    def null_tokens(self, batch_size: int) -> Tensor:
        """Tokens (batch_size, length) int64 of the dropped condition: the last value."""
        return torch.full((batch_size, self.length), self.vocab_size - 1)

    @abc.abstractmethod
    def blank(self, count: int) -> Tensor:
        """Codes (count, ...) of zeros, in the form of those of images of the window's size."""

    # What is shown of it

    @property
    def picture_grid(self) -> tuple[int, int] | None:
        """Rows and columns of its codes in a window, where they are of a picture of the same scene.

        None for all other kinds. The values of such a kind end in the picture's height and width.
        """
        return None

    def pictures(self, codes: Tensor) -> list[Image.Image]:
        """RGB pictures (n of them) of codes (n, ...); none for a kind that nobody can look at."""
        return []

    def details(self) -> Mapping[str, str]:
        """What `smalti inspect` tells of it, by a word for each line."""
        return {}


CONDITIONS: Registry[Condition[Any]] = Registry("condition")
"""The kinds of conditions; each class is built with its config and perhaps its tokenizer."""

"""The abstract class of conditions, and the registry of their kinds.

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
from smalti.data.pairing.base import FilePair, Paired
from smalti.registry import Registry
from smalti.tokenizer.base import Tokenizer
from smalti.types import Batch, Window

C = TypeVar("C", bound=Config)
"""Type of the config of a kind."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The settings of a run on which the reading and the config of a condition depend."""

    height_px: int
    """Height of the run's images, in pixels."""
    width_px: int
    """Width of the run's images, in pixels."""
    cell_px: int
    """f of the tokenizer of the images: side in pixels of the square of a code."""
    low_resolution_factor: int
    """How many times smaller the sides of a low-resolution condition are than the image's."""
    tokenizer: Tokenizer | None = None
    """Tokenizer of the condition, for the kinds that need one."""
    former: Any = None
    """Config of the condition in the prior that the run begins with; None without such a prior."""


class Condition(abc.ABC, Generic[C]):
    """One thing that a prior knows of an image before it draws it: a class, a map, a pose.

    The data set or a user gives its *values* for whole images. They become *codes*, which are
    stored for whole images. The codes of a window, the part of the image that the prior looks at,
    become *tokens*, which stand before those of the image. Shape, dtype and range of values and
    codes depend on the kind; docs/tasks.md has them in a table.

    Args:
        config: config of the kind.
        tokenizer: tokenizer of the condition, for the kinds that need one; None if nothing is
            encoded.
    """

    kind: ClassVar[str]
    """Name of the condition in configs, in commands, and among values and codes."""
    content_kind: ClassVar[str | None] = None
    """Kind of content of the tokenizer that the condition needs; None if it needs none."""
    shares_tokenizer: ClassVar[bool] = False
    """Whether the tokenizer of the images is used if the user names no other."""
    files: ClassVar[type[FilePair[Any]] | None] = None
    """How the condition's files beside the images are read; None for a kind without such files."""
    needs_classes: ClassVar[bool] = False
    """Whether the condition needs the classes of the data set."""
    is_asked: ClassVar[bool] = True
    """Whether a user can give the condition; False if its values follow from the images' size."""
    moves_with_window: ClassVar[bool] = False
    """Whether the tokens depend on where the window lies, without being cells of a grid."""
    has_column: ClassVar[bool] = True
    """Whether shards of codes store the condition; False if it follows from the class alone."""
    has_default: ClassVar[bool] = False
    """Whether the condition has values if a user does not give it."""

    def __init__(self, config: C, tokenizer: Tokenizer | None = None) -> None:
        self.config = config
        self.tokenizer = tokenizer

    def __str__(self) -> str:
        """The condition in a few words, for messages."""
        return self.kind

    # In a run

    @classmethod
    def pair(cls, setup: Setup) -> Paired | None:
        """How the condition is read with each image of a data set; None if it is not read."""
        return None

    @classmethod
    @abc.abstractmethod
    def configure(cls, setup: Setup, dataset: ImageDataset) -> C:
        """Make the config of the condition in a run with a new prior.

        Args:
            setup: settings of the run.
            dataset: the training images, read with the result of `pair`.

        Raises:
            InputError: the data set or the setup lacks what the condition needs.
        """

    def config_for(self, dataset: ImageDataset) -> C:
        """The config of the condition in a run on `dataset` that begins with the present prior.

        Raises:
            InputError: the data set does not fit the prior.
        """
        return self.config

    def run_options(self) -> Mapping[str, object]:
        """Options that a run must take over if it begins with the present prior."""
        return {}

    # Values, codes, tokens

    def remark(self, values: Tensor, size_px: tuple[int, int]) -> str | None:
        """What a user should know of values (B, ...) for pictures of a height and width in pixels.

        None, as for most, if there is nothing to say.
        """
        return None

    @property
    @abc.abstractmethod
    def length(self) -> int:
        """Number of tokens of the condition."""

    @property
    @abc.abstractmethod
    def vocab_size(self) -> int:
        """Number of values of a token; the last value stands for the dropped condition."""

    def batch_values(self, batch: Batch) -> Tensor | None:
        """Values (B, ...) of the images of a batch; None if the batch lacks them."""
        return batch.conditions.get(self.kind)

    @abc.abstractmethod
    def values(self, asked: Items, count: int, size_px: tuple[int, int] | None = None) -> Tensor:
        """Make values (count, ...) from what a user gives; the images take them in turn.

        Args:
            asked: what the user gives; None if the user does not give this condition.
            count: number of images.
            size_px: height and width of the images in pixels; None if `is_asked`, as the size may
                follow from these values.

        Raises:
            InputError: it does not exist or cannot be read, or the user must give one.
        """

    def encode(self, values: Tensor) -> Tensor:
        """Encode values (B, ...) into codes (B, ...).

        A cache of codes knows the data, the size of the crops and the tokenizers. Codes may depend
        on nothing else, and on the config only as far as it follows from these.
        """
        return values

    def at(self, codes: Tensor, window: Window) -> Tensor:
        """Take the codes (B, ...) of a window from the codes (B, ...) of whole images."""
        return codes

    @abc.abstractmethod
    def tokens(self, codes: Tensor) -> Tensor:
        """Tokens (B, length) int64 in [0, vocab_size - 1) of the codes (B, ...) of a window."""

    def null_tokens(self, batch_size: int) -> Tensor:
        """Tokens (batch_size, length) int64 of the dropped condition: the last value."""
        return torch.full((batch_size, self.length), self.vocab_size - 1)

    @abc.abstractmethod
    def blank(self, count: int) -> Tensor:
        """Make codes (count, ...) of zeros, in the form of those of images of the window's size."""

    # What is shown of it

    @property
    def picture_grid(self) -> tuple[int, int] | None:
        """Rows and columns of the codes in a window, if they are of a picture of the same scene.

        It is None for all other kinds. The values of such a kind end in the picture's height and
        width.
        """
        return None

    def pictures(self, codes: Tensor) -> list[Image.Image]:
        """Make an RGB picture of each of codes (n, ...); none for a kind without pictures."""
        return []

    def details(self) -> Mapping[str, str]:
        """Texts that `smalti inspect` shows of the condition, by the word before each line."""
        return {}


CONDITIONS: Registry[Condition[Any]] = Registry("condition")
"""The kinds of conditions; each class is built with its config and perhaps its tokenizer."""

"""Conditions with a token for each cell of a grid, which slide along with the window.

Axes: B batch, h/w grid of the condition's codes in a window, H/W grid of its codes in a whole
canvas, K number of values of a code.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

from smalti.conditions.asked import Items, read_files
from smalti.conditions.base import Condition, Setup
from smalti.config import Config, InputError
from smalti.content import ContentConfig
from smalti.content_images import content_images
from smalti.data.readers import reader_of
from smalti.tokenizer.base import Tokenizer
from smalti.types import Window


class GridConfig(Config):
    """Config of a condition whose codes are a grid."""

    grid_height: int = Field(ge=1)
    """h, rows of the condition's codes in a window of the prior."""
    grid_width: int = Field(ge=1)
    """w, columns of the condition's codes in a window of the prior."""


class SpatialConfig(GridConfig):
    """Config of a condition that is a picture."""

    content: ContentConfig
    """What the condition's pictures are."""
    codebook_size: int = Field(ge=2)
    """K of the condition's tokenizer."""


G = TypeVar("G", bound=GridConfig)
S = TypeVar("S", bound=SpatialConfig)


class GridCondition(Condition[G]):
    """A condition whose codes are a grid, (B, h, w) int64 in [0, K) in a window.

    Its tokens are the codes line by line.
    """

    @property
    def length(self) -> int:
        """Number of cells; each has a token."""
        return self.config.grid_height * self.config.grid_width

    def at(self, codes: Tensor, window: Window) -> Tensor:
        """Take the codes (B, h, w) behind a window from those of a whole canvas (B, H, W).

        The codes' grid may be finer or coarser than the window's, which is that of the image.
        """
        rows, columns = self.config.grid_height, self.config.grid_width
        top = window.top * rows // window.height
        left = window.left * columns // window.width
        # A coarser grid's last window would else stop short of it by a rounded-off part of a cell.
        top, left = min(top, codes.shape[1] - rows), min(left, codes.shape[2] - columns)
        return codes[:, top : top + rows, left : left + columns]

    def tokens(self, codes: Tensor) -> Tensor:
        """Tokens (B, h * w) int64 in [0, K) of codes (B, h, w) int64."""
        return codes.flatten(1)

    def blank(self, count: int) -> Tensor:
        """Make codes (count, h, w) int64 of zeros."""
        shape = (count, self.config.grid_height, self.config.grid_width)
        return torch.zeros(shape, dtype=torch.int64)


class SpatialCondition(GridCondition[S]):
    """A condition that is another picture of the scene, which a second tokenizer encodes.

    Values are images of `config.content`, as the tokenizer takes them. Codes are the tokenizer's,
    (B, h, w) int64 in [0, K) in a window.

    Raises:
        InputError: the tokenizer has another number of codes than the config.

    Reference: arXiv:2012.09841, Sec. 3.2 "Conditioned Synthesis": if the condition has spatial
        extent, a second VQGAN learns its codes, which are put before those of the image (Eq. 10).
    """

    def __init__(self, config: S, tokenizer: Tokenizer | None = None) -> None:
        super().__init__(config, tokenizer)
        if tokenizer is not None and tokenizer.codebook_size != config.codebook_size:
            raise InputError(
                f"the condition {self.kind} was trained on {config.codebook_size} codes, but the "
                f"tokenizer has {tokenizer.codebook_size}"
            )

    @staticmethod
    def tokenizer_of(setup: Setup) -> Tokenizer:
        """The tokenizer of the condition in a run."""
        assert setup.tokenizer is not None, "a run opens the tokenizers of its conditions"
        return setup.tokenizer

    @classmethod
    def sizes(cls, setup: Setup) -> Mapping[str, Any]:
        """Values of the fields of `SpatialConfig` in a run.

        Raises:
            InputError: the size of the images does not divide into codes of the condition.
        """
        tokenizer = cls.tokenizer_of(setup)
        height, width, f = setup.height_px, setup.width_px, tokenizer.downsampling_factor
        if height % f or width % f:
            raise InputError(
                f"image.size {height}x{width} does not divide into codes of the condition "
                f"{cls.kind}: both sides must be multiples of {f}"
            )
        return spatial_sizes(tokenizer, height, width)

    @property
    def vocab_size(self) -> int:
        """K, and one more for "any picture"."""
        return self.config.codebook_size + 1

    @property
    def picture_grid(self) -> tuple[int, int]:
        """Rows h and columns w of the codes in a window."""
        return self.config.grid_height, self.config.grid_width

    def values(self, asked: Items, count: int, size_px: tuple[int, int] | None = None) -> Tensor:
        """Read images (count, ...) of one size from files or pictures, taken in turn."""
        return read_files(self.kind, asked, count, self.read)

    def read(self, content: bytes, key: str) -> Tensor:
        """Read the whole picture in a user's file as an image of `config.content`.

        Raises:
            BrokenImageError: it cannot be read.
            InputError: it is a picture of another kind.
        """
        reader = reader_of(self.config.content)
        return reader.to_image(reader.decode(content, key))

    def encode(self, values: Tensor) -> Tensor:
        """Encode pictures of any size that f divides into codes (B, H, W) int64 in [0, K)."""
        assert self.tokenizer is not None, "a condition without its tokenizer cannot encode"
        return self.tokenizer.encode_in_tiles(values)

    def pictures(self, codes: Tensor) -> list[Image.Image]:
        """Decode codes (n, h, w) into RGB pictures."""
        assert self.tokenizer is not None, "a condition without its tokenizer cannot decode"
        draw = content_images(self.tokenizer.content).draw
        return [draw(image) for image in self.tokenizer.decode(codes)]


def spatial_sizes(tokenizer: Tokenizer, height_px: int, width_px: int) -> Mapping[str, Any]:
    """Values of `SpatialConfig` for images of a size that the tokenizer's factor divides."""
    return {
        "content": tokenizer.content,
        "codebook_size": tokenizer.codebook_size,
        "grid_height": height_px // tokenizer.downsampling_factor,
        "grid_width": width_px // tokenizer.downsampling_factor,
    }

"""Condition on another picture of the scene, through a tokenizer of its own.

Axes: B batch, h/w grid of the condition's codes, K their number of values.
Reference: arXiv:2012.09841, Sec. 3.2 "Conditioned Synthesis": if the condition has spatial extent,
    a second VQGAN learns its codes, which are put before those of the image (Eq. 10).
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from smalti.content import ContentConfig
from smalti.types import Config, Tokenizer, Window


class SpatialConfig(Config):
    """What a prior must know of a condition that is a picture."""

    content: ContentConfig
    """What the condition's pictures are."""
    codebook_size: int = Field(ge=2)
    """K of the condition's tokenizer."""
    grid_height: int = Field(ge=1)
    """h, rows of the condition's codes in a window of the prior."""
    grid_width: int = Field(ge=1)
    """w, columns of the condition's codes in a window of the prior."""


class SpatialConditioner:
    """The codes of a picture, line by line; a last value stands for "any picture".

    Follows the `Conditioner` protocol. Values are images of `config.content`.

    Args:
        config: sizes.
        tokenizer: of the condition; None where codes are all that will be given.
    """

    kind: ClassVar[str]

    def __init__(self, config: SpatialConfig, tokenizer: Tokenizer | None = None) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.length = config.grid_height * config.grid_width
        self.null = config.codebook_size
        self.vocab_size = config.codebook_size + 1

    def encode(self, values: Tensor) -> Tensor:
        """Codes (B, h, w) int64 of pictures, of any size that the tokenizer divides."""
        assert self.tokenizer is not None, "a conditioner without its tokenizer cannot encode"
        return self.tokenizer.encode_in_tiles(values)

    def at(self, codes: Tensor, window: Window) -> Tensor:
        """Codes (B, grid_height, grid_width) behind a window, of those of a whole canvas."""
        return codes_behind(codes, window, self.config.grid_height, self.config.grid_width)

    def tokens(self, codes: Tensor) -> Tensor:
        """Tokens (B, h * w) int64 in [0, K) of codes (B, h, w) int64."""
        return codes.flatten(1)

    def null_tokens(self, batch_size: int) -> Tensor:
        """The dropped condition (batch_size, h * w) int64: K everywhere."""
        return torch.full((batch_size, self.length), self.null)


def codes_behind(codes: Tensor, window: Window, rows: int, columns: int) -> Tensor:
    """The part (B, rows, columns) of a canvas's codes (B, H, W) that lies behind a window.

    The codes' grid may be finer or coarser than the window's, which is that of the image.
    """
    top = window.top * rows // window.height
    left = window.left * columns // window.width
    # A coarser grid's last window would else stop short of it by a rounded-off part of a cell.
    top, left = min(top, codes.shape[1] - rows), min(left, codes.shape[2] - columns)
    return codes[:, top : top + rows, left : left + columns]

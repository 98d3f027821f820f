"""Condition on another picture of the scene, through a tokenizer of its own.

Axes: B batch, h/w grid of the condition's codes, K their number of values.
Reference: arXiv:2012.09841, Sec. 3.2 "Conditioned Synthesis": if the condition has spatial extent,
    a second VQGAN learns its codes, which are put before those of the image (Eq. 10).
"""

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from smalti.conditions.grid import GridCondition, GridConfig
from smalti.content import ContentConfig
from smalti.types import Tokenizer


class SpatialConfig(GridConfig):
    """What a prior must know of a condition that is a picture."""

    content: ContentConfig
    """What the condition's pictures are."""
    codebook_size: int = Field(ge=2)
    """K of the condition's tokenizer."""


class SpatialCondition(GridCondition):
    """The codes of a picture, line by line; a last value stands for "any picture".

    Follows the `Conditioner` protocol. Values are images of `config.content`.

    Args:
        config: sizes.
        tokenizer: of the condition; None where codes are all that will be given.
    """

    kind: ClassVar[str]

    def __init__(self, config: SpatialConfig, tokenizer: Tokenizer | None = None) -> None:
        super().__init__(config, config.codebook_size)
        self.config = config
        self.tokenizer = tokenizer

    def encode(self, values: Tensor) -> Tensor:
        """Codes (B, h, w) int64 of pictures, of any size that the tokenizer divides."""
        assert self.tokenizer is not None, "a conditioner without its tokenizer cannot encode"
        return self.tokenizer.encode_in_tiles(values)

"""Config of PixelSNAIL. Imports no torch."""

from typing import Annotated, Literal, Self

from annotated_types import Ge, Lt
from pydantic import Field, model_validator

from smalti.config import Config


class PixelSNAILConfig(Config):
    """Shape of a PixelSNAIL, the paper's baseline; its grid follows from tokenizer and image."""

    kind: Literal["pixelsnail"] = "pixelsnail"
    blocks: int = Field(default=4, ge=1)
    """Number of blocks, each of convolutions and an attention."""
    residual_blocks: int = Field(default=2, ge=1)
    """Number of gated residual blocks, of two convolutions each, before each attention."""
    width: int = Field(default=192, ge=1)
    """Number of channels, a multiple of `heads`."""
    heads: int = Field(default=4, ge=1)
    """Number of attention heads of each block."""
    kernel_size: int = Field(default=3, ge=3)
    """Number of cells in each row above that a convolution covers, odd; it covers half as many
    rows."""
    dropout: Annotated[float, Ge(0), Lt(1)] | Literal["auto"] = "auto"
    """Share of activations dropped in training. auto is higher for fewer images."""

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel-size must be odd, got {self.kernel_size}")
        return self

    @property
    def in_words(self) -> str:
        """The shape for people, such as `4 blocks, 4 heads, 192 wide`."""
        return f"{self.blocks} blocks, {self.heads} heads, {self.width} wide"

"""Config of the transformer. Imports no torch."""

from typing import Annotated, Literal, Self

from annotated_types import Ge, Lt
from pydantic import Field, model_validator

from smalti.config import Config


class GPTConfig(Config):
    """Shape of the transformer; vocabulary and length follow from tokenizer and conditions."""

    kind: Literal["gpt"] = "gpt"
    layers: int = Field(default=6, ge=1)
    """Number of transformer blocks."""
    heads: int = Field(default=4, ge=1)
    """Number of attention heads of each block."""
    width: int = Field(default=256, ge=1)
    """Channels of the residual stream, a multiple of `heads`."""
    dropout: Annotated[float, Ge(0), Lt(1)] | Literal["auto"] = "auto"
    """Share of activations dropped in training. auto is higher for fewer images."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self

    @property
    def in_words(self) -> str:
        """The shape for people, such as `6 layers, 4 heads, 256 wide`."""
        return f"{self.layers} layers, {self.heads} heads, {self.width} wide"

"""What configs of transformers have in common: sizes, and choices of the blocks. No torch."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from annotated_types import Ge, Lt
from pydantic import Field, model_validator

from smalti.config import Config

ROTARY_MULTIPLE = 8
"""Channels of a head with rotary positions are a multiple of this; see `rotary`."""

Norm = Literal["layer", "rms"]
MLPKind = Literal["gelu", "swiglu"]


@dataclass(frozen=True, slots=True)
class BlockShape:
    """What a transformer block is made of."""

    width: int
    heads: int
    kv_heads: int
    """Heads of keys and values; each serves `heads / kv_heads` heads of queries."""
    norm: Norm = "layer"
    mlp: MLPKind = "gelu"
    query_key_norm: bool = False

    @property
    def head_channels(self) -> int:
        """Channels of one head."""
        return self.width // self.heads


class TransformerConfig(Config):
    """Shape of a transformer; vocabulary and length follow from tokenizer and conditions."""

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

    @property
    def block(self) -> BlockShape:
        """What each block is made of: here that of GPT-2."""
        return BlockShape(self.width, self.heads, self.heads)

    def check_rotary(self) -> None:
        """Refuse heads whose channels do not divide for rotary positions.

        Raises:
            ValueError: they do not.
        """
        channels = self.width // self.heads
        if channels % ROTARY_MULTIPLE:
            raise ValueError(
                f"width {self.width} with heads {self.heads} gives {channels} channels a head; "
                f"rotary positions need a multiple of {ROTARY_MULTIPLE}"
            )


class BlockChoices(TransformerConfig):
    """Choices of the blocks of a transformer, in place of those of GPT-2."""

    norm: Norm = "rms"
    """Normalisation: layer, or rms, which neither subtracts the mean nor adds a vector."""
    mlp: MLPKind = "swiglu"
    """Layers after the attention: gelu, or swiglu, in which one half gates the other, with about as
    many weights."""
    query_key_norm: bool = True
    """Whether queries and keys are normalised, head by head, before they are compared."""
    kv_heads: Annotated[int, Ge(1)] | None = None
    """Heads of keys and values, a divisor of `heads`; fewer make a smaller cache. Null is as many
    as `heads`."""

    @model_validator(mode="after")
    def _kv_heads_divide_heads(self) -> Self:
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv-heads {self.kv_heads}")
        return self

    @property
    def block(self) -> BlockShape:
        """What each block is made of."""
        kv_heads = self.heads if self.kv_heads is None else self.kv_heads
        return BlockShape(
            self.width, self.heads, kv_heads, self.norm, self.mlp, self.query_key_norm
        )

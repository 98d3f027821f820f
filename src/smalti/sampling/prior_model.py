"""What a trained prior knows of itself: the config that lies beside its weights.

Axes: h/w latent grid.
"""

from typing import Self

from pydantic import Field, field_validator, model_validator

from smalti.prior import GPTConfig
from smalti.sequence.conditioners import CONDITIONERS, ConditionerConfig, UnconditionalConfig
from smalti.sequence.layout import Layout
from smalti.sequence.ordering import ORDERINGS, Ordering, build_ordering
from smalti.types import Conditioner, Config


class PriorModelConfig(Config):
    """What a trained prior must know of itself: its shape, and how it reads a grid of codes."""

    gpt: GPTConfig
    """Shape of the transformer. Its vocabulary holds the codes, then the conditioning tokens."""
    conditioner: ConditionerConfig = UnconditionalConfig()
    """What stands before the image: `kind: none` (a start token) or `kind: class`."""
    ordering: str = "row_major"
    """Order in which the grid is read: `row_major`, `spiral_out`, `z_curve`, `subsample`,
    `alternate`, `spiral_in` or `random`."""
    ordering_seed: int = Field(default=1, ge=0, lt=2**32)
    """Of the `random` ordering; no effect on others."""
    grid_height: int = Field(ge=1)
    """h, rows of codes of an image."""
    grid_width: int = Field(ge=1)
    """w, columns of codes of an image."""

    @field_validator("ordering")
    @classmethod
    def _known(cls, ordering: str) -> str:
        ORDERINGS[ordering]  # raises with the nearest name
        return ordering

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.build_ordering()  # raises where it is not defined on the grid
        layout = self.layout
        if layout.codebook_size < 1:
            raise ValueError(
                f"gpt.vocab_size must exceed the {layout.cond_vocab_size} conditioning tokens"
            )
        if layout.input_length > self.gpt.max_length:
            raise ValueError(
                f"gpt.max_length must be at least {layout.input_length} for the grid of "
                f"{self.grid_height} x {self.grid_width} and its conditioning"
            )
        return self

    @property
    def layout(self) -> Layout:
        """Where conditioning and image stand in the prior's sequence and vocabulary."""
        conditioner = self.build_conditioner()
        return Layout(
            codebook_size=self.gpt.vocab_size - conditioner.vocab_size,
            cond_length=conditioner.length,
            cond_vocab_size=conditioner.vocab_size,
            image_length=self.grid_height * self.grid_width,
        )

    def build_conditioner(self) -> Conditioner:
        """The conditioner of the config's kind."""
        conditioner: Conditioner = CONDITIONERS[self.conditioner.kind](self.conditioner)
        return conditioner

    def build_ordering(self) -> Ordering:
        """The ordering of the grid."""
        return build_ordering(self.ordering, self.grid_height, self.grid_width, self.ordering_seed)

"""The config that is stored beside the weights of a trained prior.

Axes: h/w latent grid.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from smalti.conditions import CONDITIONS, ConditionConfig
from smalti.conditions.conditioning import Conditioning, conditioning_of
from smalti.conditions.none import UnconditionalConfig
from smalti.config import Config
from smalti.prior.base import GridSizes, MapTokens
from smalti.prior.config import PriorConfig
from smalti.prior.gpt.config import GPTConfig, of_former_file
from smalti.prior.local.config import LocalConfig
from smalti.prior.pixelsnail.cond_features import COND_LAYERS
from smalti.sequence.layout import Layout
from smalti.sequence.ordering import ORDERINGS, Ordering, build_ordering
from smalti.tokenizer.base import Tokenizer

IN_PRIOR = ("vocab_size", "max_length")
"""Fields that are in the section `prior` in files."""


class PriorModelConfig(Config):
    """Config of a trained prior: its shape, and how it reads a grid of codes."""

    prior: PriorConfig
    """Shape of the prior."""
    vocab_size: int = Field(ge=2)
    """V, number of values of a token: first the codes, then the conditioning tokens."""
    max_length: int = Field(ge=1)
    """Longest sequence that the prior reads, in tokens."""
    codebook_size: int = Field(ge=2)
    """K of the images' tokenizer."""
    conditioners: tuple[ConditionConfig, ...] = Field(
        default=(UnconditionalConfig(),), min_length=1
    )
    """Conditions that stand before the image, in this order; `kind: none` is a start token."""
    condition_drop: float = Field(default=0.0, ge=0, lt=1)
    """Share of the examples whose conditions were dropped in training; at 0 guidance has nothing to
    compare with."""
    vocabulary: Literal["segments", "shared"] = "segments"
    """Whether conditioning tokens have numbers of their own, or those of the codes (in imported
    priors)."""
    ordering: str = "row_major"
    """Order in which the grid is read: `row_major`, `spiral_out`, `z_curve`, `subsample`,
    `alternate`, `spiral_in` or `random`."""
    ordering_seed: int = Field(default=1, ge=0, lt=2**32)
    """Seed of the `random` ordering; it has no effect on others."""
    grid_height: int = Field(ge=1)
    """h, rows of codes of an image, or of the window where images are larger."""
    grid_width: int = Field(ge=1)
    """w, columns of codes of an image."""

    @model_validator(mode="before")
    @classmethod
    def _from_file(cls, values: object) -> object:
        """In files the sizes stand in `prior`; in former ones of PixelSNAIL there is more."""
        if not isinstance(values, dict) or not isinstance(values.get("prior"), dict):
            return values
        prior = of_former_file(dict(values["prior"]))
        sizes = {name: prior.pop(name) for name in IN_PRIOR if name in prior}
        prior.pop("cond_length", None)  # it follows from the conditions
        follows = {"cond_layers": COND_LAYERS} | values
        for name in ("grid_height", "grid_width", "cond_layers"):
            if name in prior and prior[name] != follows.get(name):
                raise ValueError(f"prior.{name} must be {follows.get(name)}, got {prior[name]}")
            prior.pop(name, None)
        return values | sizes | {"prior": prior}

    @model_serializer(mode="wrap")
    def _to_file(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        stored = handler(self)
        sizes = {name: stored.pop(name) for name in IN_PRIOR}
        prior = stored.pop("prior")
        return {"prior": {"kind": prior.pop("kind"), **sizes, **prior}, **stored}

    @field_validator("prior")
    @classmethod
    def _settled(cls, prior: PriorConfig) -> PriorConfig:
        if prior.dropout == "auto":
            raise ValueError("dropout of a trained prior must be a number")
        return prior

    @field_validator("ordering")
    @classmethod
    def _known(cls, ordering: str) -> str:
        ORDERINGS[ordering]  # raises with the nearest name
        return ordering

    @field_validator("conditioners")
    @classmethod
    def _once(cls, conditioners: tuple[ConditionConfig, ...]) -> tuple[ConditionConfig, ...]:
        kinds = [conditioner.kind for conditioner in conditioners]
        if len(set(kinds)) < len(kinds):
            raise ValueError(f"a condition is named twice: {', '.join(kinds)}")
        return conditioners

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.build_ordering()  # raises where it is not defined on the grid
        if isinstance(self.prior, LocalConfig):
            self._check_local(self.prior)
        is_modulated = isinstance(self.prior, GPTConfig) and self.prior.class_by == "norm"
        if is_modulated and self.conditioners[0].kind != "class":
            raise ValueError("prior.class-by is norm, which needs class as the first condition")
        layout = self.layout
        if self._needed_vocab_size > self.vocab_size:
            raise ValueError(
                f"prior.vocab_size must be at least {self._needed_vocab_size}: "
                f"{self.codebook_size} codes and {layout.cond_vocab_size} values of conditioning "
                f"tokens, {self.vocabulary}"
            )
        if layout.input_length > self.max_length:
            raise ValueError(
                f"prior.max_length must be at least {layout.input_length} for the grid of "
                f"{self.grid_height} x {self.grid_width} and its conditioning"
            )
        return self

    def _check_local(self, prior: LocalConfig) -> None:
        prior.reach(self.grid_height, self.grid_width)  # raises where it is larger than the grid
        if self.ordering != "row_major":
            raise ValueError(
                f"prior.kind local reads rows from the top; its ordering must be row_major, got "
                f"{self.ordering}"
            )

    @property
    def layout(self) -> Layout:
        """Where conditioning and image stand in the prior's sequence and vocabulary."""
        conditioning = self.build_conditioning()
        return Layout(
            codebook_size=self.codebook_size,
            cond_length=conditioning.length,
            cond_vocab_size=conditioning.vocab_size,
            image_length=self.grid_height * self.grid_width,
            shared=self.vocabulary == "shared",
        )

    @property
    def sizes(self) -> GridSizes:
        """Sizes of the sequences that the prior has room for."""
        conditioning = self.build_conditioning()
        is_row_major = self.ordering == "row_major"
        return GridSizes(
            self.vocab_size,
            self.max_length,
            conditioning.length,
            self.grid_height,
            self.grid_width,
            tuple(MapTokens(start, *grid) for start, grid in conditioning.grids()),
            None if is_row_major else tuple(self.build_ordering().forward.tolist()),
        )

    @property
    def _needed_vocab_size(self) -> int:
        """Values of tokens that can occur: imported priors have none for a dropped condition."""
        layout, last = self.layout, self.conditioners[-1]
        if not layout.shared or self.condition_drop > 0 or last.kind == "none":
            return layout.vocab_size
        return max(layout.codebook_size, layout.cond_vocab_size - 1)

    @property
    def condition_kinds(self) -> tuple[str, ...]:
        """Kinds of the conditions; none of an unconditional prior, which has a start token."""
        return tuple(one.kind for one in self.conditioners if one.kind != "none")

    @property
    def tokenizer_kinds(self) -> tuple[str, ...]:
        """Kinds of the conditions that have a tokenizer."""
        kinds = (one.kind for one in self.conditioners)
        return tuple(kind for kind in kinds if CONDITIONS[kind].content_kind is not None)

    def build_conditioning(self, tokenizers: Mapping[str, Tokenizer] | None = None) -> Conditioning:
        """Build the conditioning; see `conditioning_of`."""
        return conditioning_of(self.conditioners, tokenizers)

    def build_ordering(self) -> Ordering:
        """Build the ordering of the grid."""
        return build_ordering(self.ordering, self.grid_height, self.grid_width, self.ordering_seed)

"""Config of sampling. Imports no torch."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypedDict

from pydantic import Field, ValidationError, field_validator

from smalti.config import Config, InputError, describe

GuidanceSchedule = Literal["constant", "cosine"]

SamplingPrecision = Literal["float32", "bfloat16"]


class SamplingConfig(Config):
    """Options of how tokens are drawn."""

    temperature: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Temperature, which divides the logits: below 1 gives likely codes more often, above 1 less
    often; 0 always takes the likeliest code."""
    top_k: int = Field(default=100, ge=0)
    """Draw among the k likeliest codes only; 0, or more than there are codes, draws among all."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Draw among the fewest likeliest codes that together have this probability; 1 is all."""
    guidance: tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] = Field(
        default=(1.0,), min_length=1
    )
    """Scale of classifier-free guidance: 1 is off, more follows the condition more closely, 0
    ignores it. Give one scale for all conditions together, or one for each. Guidance needs a prior
    trained with dropped conditions."""
    guidance_schedule: GuidanceSchedule = "constant"
    """How guidance changes along the image: constant, or (cosine) rising from 1 to its scale."""
    stride: int = 1
    """Number of codes drawn in one position of the sliding window: 1 as in the paper; more is
    faster and loses context, at most half of the window's columns."""

    speculative: int = Field(default=1, ge=1)
    """Number of codes that the prior checks in one pass, after they were guessed; 1 is off. It
    changes the time, and the codes of a seed, but not how likely any image is. A prior of some size
    on a processor is faster with it at a batch size of 1."""
    precision: SamplingPrecision = "float32"
    """Number format in which the prior computes. bfloat16 is faster on a card, and on a processor
    with instructions for it; it draws other codes than float32 does with the same seed."""

    @field_validator("guidance", mode="before")
    @classmethod
    def _one_for_all(cls, guidance: object) -> object:
        return (guidance,) if isinstance(guidance, int | float) else guidance

    def settings(self) -> dict[str, Any]:
        """The values, for a hash of what decides the codes.

        Former versions knew float32 and one code a pass only, and what they began goes on: these
        are not named.
        """
        unnamed = {"precision"} if self.precision == "float32" else set()
        if self.speculative == 1:
            unnamed.add("speculative")
        return self.model_dump(mode="json", exclude=unnamed)


class SamplingOptions(TypedDict, total=False):
    """Options of drawing as a call takes them; `SamplingConfig` says more of each."""

    temperature: float
    """Below 1 gives likely codes more often, above 1 less often; 0 always takes the likeliest."""
    top_k: int
    """Draw among the k likeliest codes only, by default 100; 0 is off."""
    top_p: float
    """Draw among the fewest codes that have this probability together; 1, the default, is off."""
    guidance: float | Sequence[float]
    """How closely to follow the conditions, or each of them; 1, the default, is off."""
    guidance_schedule: GuidanceSchedule
    """`constant`, or `cosine`: rising from 1 along the image."""
    stride: int
    """Codes drawn in one window position; 1, the default, is the paper's sliding window, more is
    faster and loses context."""
    speculative: int
    """Codes checked in one pass of the prior; more than 1 is faster for a prior of some size on a
    processor, and gives other images, of the same distribution."""
    precision: SamplingPrecision
    """`float32`, the default, or `bfloat16`, which draws other codes, and is faster on a card and
    on a processor with instructions for it."""


def sampling_config(**values: object) -> SamplingConfig:
    """Make a config of option values.

    Raises:
        InputError: a value is not allowed.
    """
    try:
        return SamplingConfig.model_validate(values)
    except ValidationError as error:
        raise InputError(describe(error)) from error

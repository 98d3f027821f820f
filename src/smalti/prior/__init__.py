"""Priors: tokens -> logits of the tokens that follow.

Importing this package registers them all.
"""

from typing import Annotated

from pydantic import Field

from smalti.prior.gpt.model import GPT, GPTConfig
from smalti.prior.pixelsnail.model import PixelSNAIL, PixelSNAILConfig
from smalti.prior.registry import PRIORS

PriorModel = GPT | PixelSNAIL
PriorConfig = Annotated[GPTConfig | PixelSNAILConfig, Field(discriminator="kind")]


def build_prior(config: GPTConfig | PixelSNAILConfig) -> PriorModel:
    """The prior of a config, with new weights."""
    return PRIORS[config.kind](config)


__all__ = [
    "GPT",
    "PRIORS",
    "GPTConfig",
    "PixelSNAIL",
    "PixelSNAILConfig",
    "PriorConfig",
    "PriorModel",
    "build_prior",
]

"""Builds the prior of a config. Importing this module registers all kinds."""

from smalti.prior.base import PRIORS, GridSizes
from smalti.prior.config import PriorConfig
from smalti.prior.gpt.model import GPT
from smalti.prior.local.model import LocalGPT
from smalti.prior.pixelsnail.model import PixelSNAIL

PriorModel = GPT | LocalGPT | PixelSNAIL


def build_prior(config: PriorConfig, sizes: GridSizes) -> PriorModel:
    """Build a prior with new weights.

    Args:
        config: kind and shape of the prior; `dropout` must be a number.
        sizes: sizes of its sequences.
    """
    return PRIORS.build(config, sizes)

"""The prior of a config. Importing this module registers all kinds."""

from smalti.prior.base import PRIORS, GridSizes
from smalti.prior.config import PriorConfig
from smalti.prior.gpt.model import GPT
from smalti.prior.pixelsnail.model import PixelSNAIL

PriorModel = GPT | PixelSNAIL


def build_prior(config: PriorConfig, sizes: GridSizes) -> PriorModel:
    """A prior with new weights.

    Args:
        config: its kind and shape, in which `dropout` is a number.
        sizes: what it must have room for.
    """
    return PRIORS.build(config, sizes)

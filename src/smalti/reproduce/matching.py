"""A PixelSNAIL with as many parameters as a transformer.

Reference: arXiv:2012.09841, Sec. 4.1, where the number of layers is adjusted for that.
"""

from functools import lru_cache

import torch

from smalti.config import InputError
from smalti.prior.base import GridSizes
from smalti.prior.build import build_prior
from smalti.prior.config import PriorConfig
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.pixelsnail.config import PixelSNAILConfig
from smalti.weights import count_parameters

TOLERANCE = 0.05
"""Share by which the numbers of parameters may differ."""
WIDEST = 4096


@lru_cache(maxsize=64)
def parameters_of(config: PriorConfig, sizes: GridSizes) -> int:
    """Number of parameters of a prior."""
    with torch.device("meta"):
        # Dropout has no parameters, and is auto until a run settles it.
        return count_parameters(build_prior(config.model_copy(update={"dropout": 0.0}), sizes))


def matched_pixelsnail(transformer: GPT2Config, sizes: GridSizes) -> PixelSNAILConfig:
    """The PixelSNAIL whose number of parameters is nearest to that of a transformer.

    It has half as many blocks as the transformer has layers, as a block is convolutions and an
    attention, and the same heads and dropout. Its width is chosen.

    Args:
        transformer: shape of the transformer.
        sizes: sizes of the sequences.

    Raises:
        InputError: no width is within 5 %.
    """
    wanted = parameters_of(transformer, sizes)

    def of_width(heads: int) -> PixelSNAILConfig:
        return PixelSNAILConfig(
            blocks=max(1, transformer.layers // 2),
            width=heads * transformer.heads,
            heads=transformer.heads,
            dropout=transformer.dropout,
        )

    low, high = 1, max(2, WIDEST // transformer.heads)  # channels of a head
    while high - low > 1:
        middle = (low + high) // 2
        if parameters_of(of_width(middle), sizes) <= wanted:
            low = middle
        else:
            high = middle
    nearest = min(
        (of_width(low), of_width(high)),
        key=lambda config: abs(parameters_of(config, sizes) - wanted),
    )
    check_matched(parameters_of(nearest, sizes), wanted)
    return nearest


def check_matched(parameters: int, wanted: int) -> None:
    """Refuse to compare models whose numbers of parameters differ by more than 5 %.

    Raises:
        InputError: they differ by more.
    """
    if abs(parameters - wanted) > TOLERANCE * wanted:
        raise InputError(
            f"PixelSNAIL has {parameters:,} parameters and the transformer {wanted:,}; they may "
            f"differ by {TOLERANCE:.0%} at most"
        )

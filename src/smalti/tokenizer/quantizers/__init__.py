"""Quantizers: encoder output -> codes -> quantized latent. One file each.

Importing this package registers them all.
"""

from typing import Annotated

from pydantic import Field

from smalti.tokenizer.quantizers.base import QUANTIZERS, Quantized, Quantizer
from smalti.tokenizer.quantizers.ema import EMAQuantizer, EMAQuantizerConfig
from smalti.tokenizer.quantizers.fsq import FSQ, FSQConfig
from smalti.tokenizer.quantizers.gumbel import GumbelQuantizer, GumbelQuantizerConfig
from smalti.tokenizer.quantizers.ibq import IBQ, IBQConfig
from smalti.tokenizer.quantizers.lfq import LFQ, LFQConfig
from smalti.tokenizer.quantizers.simvq import SimVQ, SimVQConfig
from smalti.tokenizer.quantizers.vector import VectorQuantizer, VectorQuantizerConfig

QuantizerConfig = Annotated[
    VectorQuantizerConfig
    | EMAQuantizerConfig
    | GumbelQuantizerConfig
    | FSQConfig
    | LFQConfig
    | SimVQConfig
    | IBQConfig,
    Field(discriminator="kind"),
]

__all__ = [
    "FSQ",
    "IBQ",
    "LFQ",
    "QUANTIZERS",
    "EMAQuantizer",
    "EMAQuantizerConfig",
    "FSQConfig",
    "GumbelQuantizer",
    "GumbelQuantizerConfig",
    "IBQConfig",
    "LFQConfig",
    "Quantized",
    "Quantizer",
    "QuantizerConfig",
    "SimVQ",
    "SimVQConfig",
    "VectorQuantizer",
    "VectorQuantizerConfig",
]

"""Builds the quantizer of a config. Importing this module registers all kinds."""

from smalti.tokenizer.quantizers import ema as ema
from smalti.tokenizer.quantizers import fsq as fsq
from smalti.tokenizer.quantizers import gumbel as gumbel
from smalti.tokenizer.quantizers import ibq as ibq
from smalti.tokenizer.quantizers import lfq as lfq
from smalti.tokenizer.quantizers import simvq as simvq
from smalti.tokenizer.quantizers import vector as vector
from smalti.tokenizer.quantizers.base import QUANTIZERS, Quantizer
from smalti.tokenizer.quantizers.config import QuantizerConfig


def build_quantizer(config: QuantizerConfig, codebook_size: int, code_dim: int) -> Quantizer:
    """Build a quantizer with new weights.

    Args:
        config: kind and options of the quantizer.
        codebook_size: K.
        code_dim: D, channels of the encoder output.
    """
    return QUANTIZERS.build(config, codebook_size, code_dim)

"""Quantizers: encoder output -> codes -> quantized latent. One file each.

Importing this package registers them all.
"""

from smalti.tokenizer.quantizers.base import QUANTIZERS, Quantized, Quantizer
from smalti.tokenizer.quantizers.vector import VectorQuantizer, VectorQuantizerConfig

QuantizerConfig = VectorQuantizerConfig

__all__ = [
    "QUANTIZERS",
    "Quantized",
    "Quantizer",
    "QuantizerConfig",
    "VectorQuantizer",
    "VectorQuantizerConfig",
]

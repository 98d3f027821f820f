"""What every quantizer is and returns.

Axes: B batch, D code dimension, h/w latent grid, K codebook size.
"""

import abc
from typing import NamedTuple

from torch import Tensor, nn

from smalti.registry import Registry


class Quantized(NamedTuple):
    """Result of a quantizer's forward pass."""

    z_q: Tensor
    """(B, D, h, w), the gradient passed straight through to z."""
    codes: Tensor
    """(B, h, w) int64 in [0, K)."""
    codebook_loss: Tensor
    """Scalar; its gradient reaches the codebook only."""
    commitment_loss: Tensor
    """Scalar, unweighted; its gradient reaches the encoder only."""


class Quantizer(nn.Module, abc.ABC):
    """Turns each vector of an encoder output into one of K codes, and back."""

    @abc.abstractmethod
    def forward(self, z: Tensor) -> Quantized:
        """Quantize an encoder output z (B, D, h, w), floating point and unbounded."""

    @abc.abstractmethod
    def encode(self, z: Tensor) -> Tensor:
        """Codes (B, h, w) int64 in [0, K) of z (B, D, h, w)."""

    @abc.abstractmethod
    def embed(self, codes: Tensor) -> Tensor:
        """Quantized latent (B, D, h, w) of codes (B, h, w) int64 in [0, K)."""


QUANTIZERS: Registry[Quantizer] = Registry("quantizer")

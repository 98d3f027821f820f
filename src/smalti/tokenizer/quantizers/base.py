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
    """Scalar; its gradient reaches the codebook only (with `ibq` the encoder too). 0 where nothing
    is learned by it."""
    commitment_loss: Tensor
    """Scalar, unweighted; its gradient reaches the encoder only. 0 where there is none."""
    entropy_loss: Tensor
    """Scalar, weighted by the quantizer's own config; keeps codes in even use. 0 where none."""


class Quantizer(nn.Module, abc.ABC):
    """Turns each vector of an encoder output into one of K codes, and back.

    Every kind is built as `kind(config, codebook_size, code_dim)`.
    """

    @abc.abstractmethod
    def forward(self, z: Tensor) -> Quantized:
        """Quantize an encoder output z (B, D, h, w), floating point and unbounded."""

    @abc.abstractmethod
    def encode(self, z: Tensor) -> Tensor:
        """Codes (B, h, w) int64 in [0, K) of z (B, D, h, w)."""

    @abc.abstractmethod
    def embed(self, codes: Tensor) -> Tensor:
        """Quantized latent (B, D, h, w) of codes (B, h, w) int64 in [0, K)."""

    @property
    def waits_for_start(self) -> bool:
        """Whether `start` must be called before the first step."""
        return False

    def start(self, z: Tensor) -> None:
        """Place the codebook where the data is; called once, and equally on every process.

        Args:
            z: encoder output (B, D, h, w) of the whole first batch, of all processes.

        Raises:
            InputError: it has fewer vectors than the codebook has entries.
        """

    def finish_step(self) -> None:
        """Learn what is learned without a gradient; called once after each optimizer step.

        What the forward passes of the step saw in training mode with gradients enabled is taken
        together, over the parts of the batch and over all processes.
        """

    def restart(self, unused: Tensor, z: Tensor) -> int:
        """Move entries that are not in use onto encoder outputs, on request.

        Args:
            unused: (K,) bool, entries to move.
            z: (B, D, h, w), equal on every process.

        Returns:
            How many were moved; 0 for kinds without entries that could be.
        """
        return 0


QUANTIZERS: Registry[Quantizer] = Registry("quantizer")

"""The abstract class of quantizers, and the result of their forward pass.

Axes: B batch, D code dimension, h/w latent grid, K codebook size.
"""

import abc
from typing import NamedTuple

from torch import Tensor

from smalti.registry import Registry
from smalti.tokenizer.float32 import InFloat32


class Quantized(NamedTuple):
    """Result of a quantizer's forward pass."""

    z_q: Tensor
    """Quantized latent (B, D, h, w); its gradient passes straight through to z."""
    codes: Tensor
    """(B, h, w) int64 in [0, K)."""
    codebook_loss: Tensor
    """Scalar; its gradient reaches the codebook only (with `ibq` the encoder too). It is 0 if the
    kind learns no codebook by gradient."""
    commitment_loss: Tensor
    """Scalar, unweighted; its gradient reaches the encoder only. It is 0 if the kind has none."""
    entropy_loss: Tensor
    """Scalar, weighted by the quantizer's config; it keeps codes in even use. It is 0 if the kind
    has none."""


class Quantizer(InFloat32, abc.ABC):
    """Turns each vector of an encoder output into one of K codes, and back.

    Every kind is built as `kind(config, codebook_size, code_dim)`: its options, K, and D, the
    number of channels of the encoder output.

    Its weights stay in float32 where a model goes to a narrower number format: codes follow from
    small differences.
    """

    @abc.abstractmethod
    def forward(self, z: Tensor) -> Quantized:
        """Quantize an encoder output.

        Args:
            z: (B, D, h, w) floating point, unbounded.

        Returns:
            The latent has the dtype of z.

        Raises:
            ValueError: z is not 4-dimensional or its channels are not D.
        """

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
        """Update what learns without a gradient; called once after each optimizer step.

        It uses all that the forward passes of the step saw in training mode with gradients
        enabled, over the chunks of the batch and over all processes.
        """

    def restart(self, unused: Tensor, z: Tensor) -> int:
        """Move entries that are not in use onto encoder outputs.

        Args:
            unused: (K,) bool, whether to move each entry.
            z: (B, D, h, w), equal on every process.

        Returns:
            How many entries moved; 0 for kinds without entries that can move.
        """
        return 0


QUANTIZERS: Registry[Quantizer] = Registry("quantizer")

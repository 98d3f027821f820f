"""Lookup-free quantization: each of a few numbers becomes its sign, and the signs are the code.

Axes: B batch, D code dimension, h/w latent grid, K = 2^bits codebook size, N = B * h * w vectors.
Reference: Yu et al. 2023, "Language Model Beats Diffusion: Tokenizer is Key to Visual Generation",
    arXiv:2310.05737, Sec. 3.1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from smalti.tokenizer.quantizers.base import QUANTIZERS, Quantized, Quantizer
from smalti.tokenizer.quantizers.config import LFQConfig
from smalti.tokenizer.quantizers.lookup import Projection, check_shape, straight_through, to_rows
from smalti.tokenizer.quantizers.soft import entropies, entropy_loss, over_chunks


@QUANTIZERS.register("lfq")
class LFQ(Quantizer):
    """Projects to log2 K dimensions and takes the sign of each; K is a power of two."""

    bits: Tensor

    def __init__(self, config: LFQConfig, codebook_size: int, code_dim: int) -> None:
        super().__init__()
        config.check_codebook_size(codebook_size)
        self.config = config
        self.code_dim = code_dim
        self.codebook_size = codebook_size
        bits = codebook_size.bit_length() - 1
        self.register_buffer("bits", torch.arange(bits), persistent=False)
        self.project_in = Projection(code_dim, bits)
        self.project_out = Projection(bits, code_dim)

    def forward(self, z: Tensor) -> Quantized:
        """Quantize an encoder output (B, D, h, w), straight through; the codebook loss is 0."""
        numbers = self._numbers(z)
        codes = self._codes(numbers)
        signs = self._signs(codes)
        commitment_loss = F.mse_loss(numbers, signs)
        z_q = self.project_out(straight_through(numbers, signs)).to(z.dtype)
        chunks = over_chunks(
            lambda chunk: entropies(self._logits(chunk)), to_rows(numbers), self.codebook_size
        )
        loss = entropy_loss(chunks, codes.numel(), self.config)
        return Quantized(z_q, codes, loss.new_zeros(()), commitment_loss, loss)

    @torch.no_grad()
    def encode(self, z: Tensor) -> Tensor:
        """Codes (B, h, w) int64: bit i is set where number i is above 0."""
        return self._codes(self._numbers(z))

    def embed(self, codes: Tensor) -> Tensor:
        """Quantized latent (B, D, h, w) of codes (B, h, w) int64, in the type of the weights."""
        latent = self.project_out(self._signs(codes))
        return latent.to(self.project_out.weight.dtype)

    def corners(self) -> Tensor:
        """The signs (K, bits) float32 of all codes, each -1 or 1."""
        every = torch.arange(self.codebook_size, device=self.bits.device)
        return self._signs(every.view(1, -1, 1))[0, :, :, 0].T

    def _numbers(self, z: Tensor) -> Tensor:
        """Numbers (B, bits, h, w) float32, whose signs are the code."""
        check_shape(z, self.code_dim)
        return self.project_in(z)

    def _codes(self, numbers: Tensor) -> Tensor:
        return ((numbers > 0).long() << self.bits.view(-1, 1, 1)).sum(1)

    def _signs(self, codes: Tensor) -> Tensor:
        """Signs (B, bits, h, w) float32 of codes (B, h, w), each -1 or 1."""
        return ((codes[:, None] >> self.bits.view(-1, 1, 1)) & 1).float() * 2 - 1

    def _logits(self, numbers: Tensor) -> Tensor:
        """Logits (n, K) of numbers (n, bits), up to a term that is the same for all codes."""
        return 2 / self.config.temperature * numbers @ self.corners().T

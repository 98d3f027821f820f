"""Finite scalar quantization: round each of a few bounded numbers; no codebook is learned.

Axes: B batch, D code dimension, d rounded dimensions, h/w latent grid, K codebook size,
L levels of a dimension.
Reference: Mentzer et al. 2023, "Finite Scalar Quantization: VQ-VAE Made Simple",
    arXiv:2309.15505, Sec. 3 and App. A.1.
"""

import math

import torch
from torch import Tensor

from smalti.tokenizer.quantizers.base import QUANTIZERS, Quantized, Quantizer
from smalti.tokenizer.quantizers.config import FSQConfig
from smalti.tokenizer.quantizers.lookup import Projection, check_shape, straight_through


@QUANTIZERS.register("fsq")
class FSQ(Quantizer):
    """Projects to a few dimensions, bounds each and rounds it to its levels.

    Deviation: for even levels, the shift that keeps 0 at 0 is the inverse of the bound, atanh; the
        source's listing has tan.
    """

    levels: Tensor
    strides: Tensor

    def __init__(self, config: FSQConfig, codebook_size: int, code_dim: int) -> None:
        super().__init__()
        levels = config.levels_of(codebook_size)
        self.code_dim = code_dim
        strides = [math.prod(levels[:place]) for place in range(len(levels))]
        shape = (1, -1, 1, 1)
        self.register_buffer("levels", torch.tensor(levels).view(shape), persistent=False)
        self.register_buffer("strides", torch.tensor(strides).view(shape), persistent=False)
        self.project_in = Projection(code_dim, len(levels))
        self.project_out = Projection(len(levels), code_dim)

    def forward(self, z: Tensor) -> Quantized:
        """Quantize an encoder output (B, D, h, w), straight through; all losses are 0."""
        bounded = self._bounded(z)
        digits = self._digits(bounded)
        unit = bounded / (self.levels // 2)
        z_q = self.project_out(straight_through(unit, self._unit(digits)))
        none = bounded.new_zeros(())
        return Quantized(z_q.to(z.dtype), self._codes(digits), none, none, none)

    @torch.no_grad()
    def encode(self, z: Tensor) -> Tensor:
        """Codes (B, h, w) int64: the rounded numbers as digits, the first dimension lowest."""
        return self._codes(self._digits(self._bounded(z)))

    def embed(self, codes: Tensor) -> Tensor:
        """Quantized latent (B, D, h, w) of codes (B, h, w) int64, in the type of the weights."""
        digits = (codes[:, None] // self.strides) % self.levels
        latent = self.project_out(self._unit(digits))
        return latent.to(self.project_out.weight.dtype)

    def _bounded(self, z: Tensor) -> Tensor:
        """Numbers (B, d, h, w) float32 in [-(L - 1) / 2, (L - 1) / 2], less 1/2 if L is even."""
        check_shape(z, self.code_dim)
        offset = 0.5 * (self.levels % 2 == 0)
        # A little wider than the outer levels, so that the bound can reach them.
        half = (self.levels - 1) * (1 + 1e-3) / 2
        shift = torch.atanh(offset / half)
        return torch.tanh(self.project_in(z) + shift) * half - offset

    def _digits(self, bounded: Tensor) -> Tensor:
        """Rounded numbers (B, d, h, w) int64, each in [0, L)."""
        return bounded.round().long() + self.levels // 2

    def _unit(self, digits: Tensor) -> Tensor:
        """Digits centred and scaled to about [-1, 1], whatever the levels."""
        return (digits - self.levels // 2).float() / (self.levels // 2)

    def _codes(self, digits: Tensor) -> Tensor:
        return (digits * self.strides).sum(1)

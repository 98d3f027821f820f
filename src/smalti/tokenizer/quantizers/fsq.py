"""Finite scalar quantization: round each of a few bounded numbers; no codebook is learned.

Axes: B batch, D code dimension, d number of levels' dimensions, h/w latent grid, K codebook size.
Reference: Mentzer et al. 2023, "Finite Scalar Quantization: VQ-VAE Made Simple",
    arXiv:2309.15505, Sec. 3 and App. A.1.
"""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from smalti.tokenizer.quantizers.base import QUANTIZERS, Quantized, Quantizer, QuantizerOptions
from smalti.tokenizer.quantizers.lookup import Projection, check_shape, straight_through

MOST_LEVELS = 8
FEWEST_LEVELS = 3


class FSQConfig(QuantizerOptions):
    """Config of `FSQ`."""

    kind: Literal["fsq"] = "fsq"
    levels: tuple[Annotated[int, Field(ge=2, le=256)], ...] | None = Field(
        default=None, min_length=1
    )
    """Number of values that each dimension is rounded to, 2 to 256; their product is codebook_size.
    null makes them of codebook_size: as few dimensions as possible of 3 to 8 values."""

    def check_codebook_size(self, codebook_size: int) -> None:
        """Refuse a K that the levels do not give.

        Raises:
            ValueError: with the sizes near it that work.
        """
        self.levels_of(codebook_size)

    def levels_of(self, codebook_size: int) -> tuple[int, ...]:
        """The levels of each dimension, whose product is K.

        Raises:
            ValueError: they have another product, or no levels of 3 to 8 give K.
        """
        if self.levels is not None:
            product = math.prod(self.levels)
            if product != codebook_size:
                shown = " * ".join(map(str, self.levels))
                raise ValueError(
                    f"codebook_size {codebook_size} is not the product of the quantizer's levels: "
                    f"{shown} = {product}"
                )
            return self.levels
        levels = levels_for(codebook_size)
        if levels is None:
            below = next((k for k in range(codebook_size, 2, -1) if levels_for(k)), None)
            above = next(k for k in range(codebook_size, 2 * codebook_size + 2) if levels_for(k))
            near = f"{below} or {above}" if below else str(above)
            raise ValueError(
                f"codebook_size {codebook_size} is not a product of levels from {FEWEST_LEVELS} to "
                f"{MOST_LEVELS}, which fsq needs; near it are {near}"
            )
        return levels


def levels_for(codebook_size: int) -> tuple[int, ...] | None:
    """Numbers from 3 to 8 whose product is K, the largest first; None where there are none.

    As few as possible, and of those the most even, as in Table 1 of the source.
    """
    found = list(_factors(codebook_size, MOST_LEVELS))
    return min(found, key=lambda levels: (len(levels), -min(levels)), default=None)


def _factors(product: int, largest: int) -> Iterator[tuple[int, ...]]:
    if product <= largest and product >= FEWEST_LEVELS:
        yield (product,)
    for first in range(min(largest, product // FEWEST_LEVELS), FEWEST_LEVELS - 1, -1):
        if product % first == 0:
            for rest in _factors(product // first, first):
                yield (first, *rest)


@QUANTIZERS.register("fsq")
class FSQ(Quantizer):
    """Projects to a few dimensions, bounds each and rounds it to its levels.

    Args:
        config: the kind's options.
        codebook_size: K.
        code_dim: D, channels of the encoder output.

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
        """Quantize an encoder output.

        Args:
            z: (B, D, h, w) floating point, unbounded.

        Returns:
            The latent in the dtype of z, with a straight-through gradient; no losses.

        Raises:
            ValueError: z is not 4-dimensional or its channels are not D.
        """
        bounded = self._bounded(z)
        digits = self._digits(bounded)
        z_q = self.project_out(
            straight_through(self._unit(bounded), self._unit(self._centred(digits)))
        )
        none = bounded.new_zeros(())
        return Quantized(z_q.to(z.dtype), self._codes(digits), none, none, none)

    @torch.no_grad()
    def encode(self, z: Tensor) -> Tensor:
        """Codes (B, h, w) int64: the rounded numbers as digits, the first dimension lowest."""
        return self._codes(self._digits(self._bounded(z)))

    def embed(self, codes: Tensor) -> Tensor:
        """Quantized latent (B, D, h, w) of codes (B, h, w) int64, in the type of the weights."""
        digits = (codes[:, None] // self.strides) % self.levels
        latent = self.project_out(self._unit(self._centred(digits)))
        return latent.to(self.project_out.weight.dtype)  # type: ignore[no-any-return]

    def _bounded(self, z: Tensor) -> Tensor:
        """(B, d, h, w) float32, in [-(L - 1) / 2, (L - 1) / 2] less half where L is even."""
        check_shape(z, self.code_dim)
        offset = 0.5 * (self.levels % 2 == 0)
        # A little wider than the outer levels, so that the bound can reach them.
        half = (self.levels - 1) * (1 + 1e-3) / 2
        shift = torch.atanh(offset / half)
        return torch.tanh(self.project_in(z) + shift) * half - offset

    def _digits(self, bounded: Tensor) -> Tensor:
        """(B, d, h, w) int64, each in [0, L)."""
        return bounded.round().long() + self.levels // 2

    def _centred(self, digits: Tensor) -> Tensor:
        return (digits - self.levels // 2).float()

    def _unit(self, numbers: Tensor) -> Tensor:
        """Scaled to about [-1, 1], whatever the levels."""
        return numbers / (self.levels // 2)

    def _codes(self, digits: Tensor) -> Tensor:
        return (digits * self.strides).sum(1)

"""Causal convolution: a cell looks at the rows above it and at its own row to its left.

Axes: B batch, h/w grid, I/O input and output channels, k kernel size, p = k // 2 its reach.
Two kernels, one for the rows above and one for the row itself, need no mask.
Reference: van den Oord et al. 2016, "Conditional Image Generation with PixelCNN Decoders",
    arXiv:1606.05328, Sec. 2.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smalti.prior.linear import linear
from smalti.prior.pixelsnail.cell_cache import CellCache


class CausalConv(nn.Module):
    """Convolution over the cells before each cell in reading order, and the cell itself.

    Args:
        inputs: I.
        outputs: O.
        kernel_size: k, odd: it covers p whole rows of k cells above, and p cells to the left.
        sees_itself: whether a cell looks at itself too; if not, k is at least 3.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel_size: int, *, sees_itself: bool = True
    ) -> None:
        super().__init__()
        reach = kernel_size // 2
        self.reach = reach
        self.sees_itself = sees_itself
        self.left = nn.Conv2d(inputs, outputs, (1, reach + sees_itself))
        self.above = nn.Conv2d(inputs, outputs, (reach, kernel_size), bias=False) if reach else None

    def reset_parameters(self, generator: torch.Generator | None) -> None:
        """Draw new weights that keep the variance of the input; biases are zero."""
        kernels = (
            [self.left.weight] if self.above is None else [self.left.weight, self.above.weight]
        )
        deviation = sum(kernel[0].numel() for kernel in kernels) ** -0.5
        for kernel in kernels:
            nn.init.normal_(kernel, std=deviation, generator=generator)
        assert self.left.bias is not None
        nn.init.zeros_(self.left.bias)

    def forward(self, x: Tensor, cache: CellCache | None = None) -> Tensor:
        """(B, h, w, I) -> (B, h, w, O).

        With a cache that is past the first rows, both are of its newest cell, (B, 1, 1, ...); the
        input is of the cell before where the convolution does not look at the cell itself.
        """
        if self.above is None:  # nothing but the cell itself
            return linear(x, self.left.weight.flatten(1), self.left.bias)
        if cache is not None and not cache.in_rows:
            return self._one_cell(x, cache)
        x = x.permute(0, 3, 1, 2)
        if cache is not None:
            kernels = [self.left.weight.flatten(1), self.above.weight.flatten(1)]
            cache.fill(self, x, self.reach)
            cache.prepare(self, torch.cat(kernels, dim=1), self.left.bias)
        width, reach = x.shape[3], self.reach
        left = self.left(F.pad(x, (reach, 0)))[..., :width]
        above = self.above(F.pad(x, (reach, reach, reach, 0)))[:, :, :-1]
        return (left + above).permute(0, 2, 3, 1)

    def _one_cell(self, x: Tensor, cache: CellCache) -> Tensor:
        """(B, 1, 1, I) -> (B, 1, 1, O); it also writes the input into the cache."""
        reach = self.reach
        inputs = cache.write(self, x.flatten(1), reach, 0 if self.sees_itself else 1)
        row, column = cache.place
        left = inputs[:, :, row + reach, column : column + reach + self.sees_itself]
        above = inputs[:, :, row : row + reach, column : column + 2 * reach + 1]
        y = cache.products[self](torch.cat([left.flatten(1), above.flatten(1)], dim=1))
        return y[:, None, None]

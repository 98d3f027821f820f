"""Cache of a convolutional prior for the cells it has computed, so that each is computed once.

Axes: B batch, h/w grid, I/O input and output channels of a convolution, L sequence length, W width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smalti.prior.kv_cache import KVCache
from smalti.prior.pixelsnail.cond_features import CondFeatures
from smalti.prior.products import Product, prepare_product


class CellCache:
    """Inputs of convolutions, keys and values of attention, and the conditioning.

    It is filled by whole rows at first, and by single cells afterwards. It serves generation: no
    gradient passes through it.

    Args:
        kv: empty cache for the attention layers.
        grid: (h, w).
        dtype: number format of the cache.
    """

    reads_together = False
    """Whether several tokens after the cached ones are computed together; here it is one by one."""

    def __init__(self, kv: KVCache, grid: tuple[int, int], dtype: torch.dtype) -> None:
        self.kv = kv
        self.dtype = dtype
        self.products: dict[nn.Module, Product] = {}
        """Convolutions at one cell, as products from (B, inputs of the cell) to (B, O)."""
        self._height, self._width = grid
        self.reset()

    def reset(self) -> None:
        """Forget all tokens: the next ones are the first of a new sequence."""
        self.kv.reset()
        self.conditioning: CondFeatures | None = None
        """Features of the conditioning tokens, once all of them are read."""
        self.cell = 0
        """Number of the newest cell, which is computed next: all tokens before it are known."""
        self.in_rows = True
        """Whether all rows down to that cell are computed at once, or the cell alone."""
        self._waiting: Tensor | None = None
        self._inputs: dict[nn.Module, Tensor] = {}
        self._features: dict[int, Tensor] = {}

    @property
    def length(self) -> int:
        """Number of tokens that were read."""
        waiting = 0 if self._waiting is None else self._waiting.shape[1]
        return self.kv.length + waiting

    def join(self, tokens: Tensor) -> Tensor:
        """All tokens (B, L) so far, with new ones (B, l), until the conditioning is complete."""
        joined = tokens if self._waiting is None else torch.cat([self._waiting, tokens], dim=1)
        self._waiting = joined
        return joined

    def finish(self, tokens: int) -> None:
        """Count `tokens` more as read by all layers; from now on single cells follow."""
        self.kv.advance(tokens)
        self._waiting = None
        self.in_rows = False

    @property
    def place(self) -> tuple[int, int]:
        """Row and column of the newest cell."""
        return divmod(self.cell, self._width)

    def fill(self, conv: nn.Module, x: Tensor, reach: int) -> None:
        """Store the input of a convolution for rows from the top.

        Args:
            conv: the convolution.
            x: (B, I, rows, w).
            reach: how many cells up, left and right the convolution reaches; the grid is padded by
                so many zeros.
        """
        rows_below = self._height - x.shape[2]
        framed = F.pad(x.detach(), (reach, reach, reach, rows_below))
        self._inputs[conv] = framed.to(self.dtype, memory_format=torch.contiguous_format)

    def prepare(self, conv: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
        """Prepare weight (O, inputs of a cell) and bias (O,) of a convolution for single cells."""
        rows = self.kv.keys.shape[1]
        self.products[conv] = prepare_product(weight, bias, rows, self.dtype)

    def write(self, conv: nn.Module, x: Tensor, reach: int, back: int) -> Tensor:
        """Store the input of a convolution for one cell; returns the padded map of all inputs.

        Args:
            conv: the convolution.
            x: (B, I).
            reach: as in `fill`.
            back: how many cells before the newest one x belongs to.

        Returns:
            (B, I, h + reach, w + 2 reach); cells that follow have no meaning.
        """
        row, column = divmod(self.cell - back, self._width)
        inputs = self._inputs[conv]
        inputs[:, :, row + reach, column + reach] = x.detach().to(self.dtype)
        return inputs

    def exchange_features(self, layer: int, features: Tensor) -> Tensor | None:
        """Store the newest features (B, 1, 1, W) of an attention layer; returns the former."""
        before = self._features.get(layer)
        self._features[layer] = features.detach()
        return before

    def spread(self, rows: Tensor) -> None:
        """Let row i hold what row rows[i] holds, rows being (B,) int64."""
        self.kv.spread(rows)
        if self.conditioning is not None:
            self.conditioning = self.conditioning.take(rows)
        if self._waiting is not None:
            self._waiting = self._waiting[rows]
        self._inputs = {conv: x[rows] for conv, x in self._inputs.items()}
        self._features = {layer: x[rows] for layer, x in self._features.items()}

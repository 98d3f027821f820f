"""The attention block of PixelSNAIL, in which a cell attends to all tokens before it.

The keys stand in the order of the sequence: the conditioning tokens, then each cell with its token
and its features. The token of the cell itself is not known yet, so a cell attends to the cells
before it only, and the first cell to the conditioning alone.

Axes: B batch, h/w grid, n = h * w cells, S conditioning length, H heads, C channels of one head,
W = H * C width.
Reference: Chen et al. 2018, arXiv:1712.09763, "attention block".
"""

import torch
from torch import Tensor, nn

from smalti.prior.attention import causal_attention
from smalti.prior.linear import Linear
from smalti.prior.pixelsnail.cell_cache import CellCache


class CellAttention(nn.Module):
    """Attention of the cells to the conditioning tokens and to the cells before each.

    Args:
        layer: number of this layer in a cache.
        width: W.
        heads: H, divides the width.
        dropout: probability of dropping an attention weight, in training only.

    Deviation: several heads, with keys as wide as values; the source has one head with narrow keys.
        It has no conditioning tokens to look at.
    """

    def __init__(self, layer: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.layer = layer
        self.heads = heads
        self.dropout = dropout
        self.norm = nn.LayerNorm(width)
        self.query = Linear(width, width)
        self.cond_kv = Linear(width, 2 * width)
        self.cell_kv = Linear(2 * width, 2 * width)

    def forward(
        self, x: Tensor, embedded: Tensor, cond_states: Tensor, cache: CellCache | None = None
    ) -> Tensor:
        """Compute the attention of the cells.

        Args:
            x: (B, h, w, W), features of the cells, which depend on the tokens before each.
            embedded: (B, h, w, W), the embedded tokens of the cells.
            cond_states: (B, S, W), states of the conditioning tokens.
            cache: cache to which what later cells need is added.

        Returns:
            (B, h, w, W). With a cache that is past the first rows, features and result are of its
            newest cell, (B, 1, 1, W), and the token is that of the cell before.
        """
        features = self.norm(x)
        if cache is not None and not cache.in_rows:
            return self._one_cell(features, embedded, cache)
        cells = torch.cat([embedded, features], dim=-1).flatten(1, 2)  # (B, n, 2 W)
        # No cell looks at the last one.
        kv = torch.cat([self.cond_kv(cond_states), self.cell_kv(cells[:, :-1])], dim=1)
        k, v = self._split(kv)
        if cache is not None:
            self._keep(k, v, features, cache)
        return self._attend(features, k, v)

    def _one_cell(self, features: Tensor, embedded: Tensor, cache: CellCache) -> Tensor:
        """Compute the attention (B, 1, 1, W) of the newest cell."""
        before = cache.exchange_features(self.layer, features)
        assert before is not None, "the cache has not seen the conditioning"
        kv = self.cell_kv(torch.cat([embedded, before], dim=-1)).flatten(1, 2)
        k, v = cache.kv.append(self.layer, *self._split(kv))
        return self._attend(features, k, v)

    def _keep(self, k: Tensor, v: Tensor, features: Tensor, cache: CellCache) -> None:
        """Add keys and values of the read tokens, and the newest features, to the cache."""
        height, width = features.shape[1:3]
        cond_length = k.shape[2] - (height * width - 1)
        tokens = cond_length + cache.cell
        cache.kv.append(self.layer, k[:, :, :tokens], v[:, :, :tokens])
        row, column = cache.place
        cache.exchange_features(self.layer, features[:, row : row + 1, column : column + 1])

    def _split(self, kv: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, H, L, C) each, of (B, L, 2 W)."""
        batch, length, _ = kv.shape
        k, v = kv.view(batch, length, 2, self.heads, -1).permute(2, 0, 3, 1, 4).unbind()
        return k, v

    def _attend(self, features: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend with the queries of features (B, h, w, W); the result has their shape."""
        batch, height, width, _ = features.shape
        q = self.query(features).view(batch, height * width, self.heads, -1).transpose(1, 2)
        attended = causal_attention(q, k, v, self.dropout if self.training else 0.0)
        return attended.transpose(1, 2).reshape(features.shape)

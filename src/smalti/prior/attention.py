"""Causal self-attention: each position attends to itself and to the positions before it.

Axes: B batch, H heads, L sequence length, C channels of one head, W = H * C width.
Reference: arXiv:2012.09841, Eq. 1, causally masked; App. A, "Transformer Architecture".
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smalti.prior.kv_cache import KVCache


class CausalSelfAttention(nn.Module):
    """Multi-head attention with PyTorch's fused kernel and one projection for q, k and v.

    Args:
        layer: number of this layer in a cache.
        width: W.
        heads: H, divides the width.
        dropout: probability of dropping an attention weight, in training only.
    """

    def __init__(self, layer: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.layer = layer
        self.heads = heads
        self.dropout = dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        """(B, L, W) -> (B, L, W); with a cache, x are the positions that follow the cached ones."""
        q, k, v = self._heads(self.qkv(x)).unbind()
        return self._attend(q, k, v, cache)

    def last(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        """The last position (B, 1, W) of what `forward` returns.

        All positions have keys and values still, which go to the cache; the others have no query.
        """
        width, weight, bias = x.shape[2], self.qkv.weight, self.qkv.bias
        q = self._heads(F.linear(x[:, -1:], weight[:width], bias[:width])).squeeze(0)
        k, v = self._heads(F.linear(x, weight[width:], bias[width:])).unbind()
        return self._attend(q, k, v, cache)

    def _heads(self, x: Tensor) -> Tensor:
        """(B, L, n * W) -> (n, B, H, L, C)."""
        batch, length, _ = x.shape
        parts = x.shape[2] // self.projection.in_features
        return x.view(batch, length, parts, self.heads, -1).permute(2, 0, 3, 1, 4)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, cache: KVCache | None) -> Tensor:
        """Outputs (B, l, W) of queries, keys and values (B, H, l or L, C) of new positions."""
        if cache is not None:
            k, v = cache.append(self.layer, k, v)
        attended = causal_attention(q, k, v, self.dropout if self.training else 0.0)
        return self.projection(attended.transpose(1, 2).flatten(2))


def causal_attention(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """Attention of the last positions of a sequence to all positions up to each.

    Args:
        q: (B, H, l, C), the queries of the last l positions.
        k: (B, H, L, C), the keys of all positions, L >= l.
        v: (B, H, L, C), the values of all positions.
        dropout: probability of dropping an attention weight.

    Returns:
        (B, H, l, C).
    """
    queries, keys = q.shape[2], k.shape[2]
    if queries == 1:  # the newest position may look everywhere
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
    if queries == keys:
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
    mask = torch.ones(queries, keys, dtype=torch.bool, device=q.device).tril(keys - queries)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)

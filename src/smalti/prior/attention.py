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
        batch, length, width = x.shape
        heads = self.qkv(x).view(batch, length, 3, self.heads, -1)
        q, k, v = heads.permute(2, 0, 3, 1, 4).unbind()  # (B, H, L, C) each
        if cache is not None:
            k, v = cache.append(self.layer, k, v)
        attended = causal_attention(q, k, v, self.dropout if self.training else 0.0)
        joined = attended.transpose(1, 2).reshape(batch, length, width)
        return self.projection(joined)


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

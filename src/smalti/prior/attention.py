"""Causal self-attention: each position attends to itself and to the positions before it.

Axes: B batch, H heads of queries, G heads of keys and values, L sequence length, C channels of one
head, W = H * C width.
Reference: arXiv:2012.09841, Eq. 1, causally masked; App. A, "Transformer Architecture". For the
    choices: Ainslie et al. 2023, "GQA", arXiv:2305.13245 (fewer heads of keys and values); Henry et
    al. 2020, "Query-Key Normalization for Transformers", arXiv:2010.04245.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smalti.prior.linear import Linear, linear
from smalti.prior.rotary import Rotation, rotate
from smalti.prior.transformer_config import BlockShape

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""Attention of a layer: number of the layer; q (B, H, l, C) of some tokens, k and v (B, G, l, C) of
the same; the result is (B, H, l, C). What else they attend to, and which may see which, is its
affair."""


EPSILON = 1e-6
"""Added to the mean square of a head of queries or keys."""


class CausalSelfAttention(nn.Module):
    """Multi-head attention with PyTorch's fused kernel and one projection for q, k and v.

    Args:
        layer: number of this layer, for `Attend`.
        shape: what the block is made of.
        dropout: probability of dropping an attention weight, in training only.
    """

    def __init__(self, layer: int, shape: BlockShape, dropout: float) -> None:
        super().__init__()
        self.layer = layer
        self.heads = shape.heads
        self.dropout = dropout
        self.qk_and_v_heads = [shape.heads + shape.kv_heads, shape.kv_heads]
        """Number of heads of queries and keys together, and of values."""
        width, channels = shape.width, shape.head_channels
        self.qkv = Linear(width, sum(self.qk_and_v_heads) * channels)
        self.projection = Linear(width, width)
        self.query_norm = nn.RMSNorm(channels, eps=EPSILON) if shape.query_key_norm else None
        self.key_norm = nn.RMSNorm(channels, eps=EPSILON) if shape.query_key_norm else None

    def forward(
        self, x: Tensor, attend: Attend | None = None, rotation: Rotation | None = None
    ) -> Tensor:
        """(B, L, W) -> (B, L, W).

        Args:
            x: (B, L, W).
            attend: how the positions attend; None is to those up to each of them.
            rotation: rotation of the positions; None turns nothing.
        """
        qk, v = self._heads(self.qkv(x)).split_with_sizes(self.qk_and_v_heads, dim=1)
        qk = comparable(qk, self.head_weights(), rotation)
        return self._attend(qk[:, : self.heads], qk[:, self.heads :], v, attend)

    def last(
        self, x: Tensor, attend: Attend | None = None, rotation: Rotation | None = None
    ) -> Tensor:
        """The last position (B, 1, W) of what `forward` returns.

        All positions have keys and values still; the others have no query.
        """
        width, weight, bias = x.shape[2], self.qkv.weight, self.qkv.bias
        end = None if rotation is None else rotation.of(slice(-1, None))
        q = self._heads(F.linear(x[:, -1:], weight[:width], bias[:width]))
        k, v = self._heads(linear(x, weight[width:], bias[width:])).chunk(2, dim=1)
        weights = self.head_weights()
        q = comparable(q, None if weights is None else weights[: self.heads], end)
        k = comparable(k, None if weights is None else weights[self.heads :], rotation)
        return self._attend(q, k, v, attend)

    def head_weights(self) -> Tensor | None:
        """Weights (H + G, 1, C) of the norms of queries and keys, head by head; None without."""
        if self.query_norm is None or self.key_norm is None:
            return None
        key_heads = self.qk_and_v_heads[1]
        weights = [
            self.query_norm.weight.expand(self.heads, 1, -1),
            self.key_norm.weight.expand(key_heads, 1, -1),
        ]
        return torch.cat(weights)

    def _heads(self, x: Tensor) -> Tensor:
        """Split into heads: (B, L, n C) -> (B, n, L, C)."""
        channels = self.projection.in_features // self.heads
        return x.view(*x.shape[:2], -1, channels).transpose(1, 2)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, attend: Attend | None) -> Tensor:
        """Outputs (B, l, W)."""
        if attend is None:
            attended = causal_attention(q, k, v, self.dropout if self.training else 0.0)
        else:
            attended = attend(self.layer, q, k, v)
        return self.projection(attended.transpose(1, 2).flatten(2))


def comparable(x: Tensor, weights: Tensor | None, rotation: Rotation | None) -> Tensor:
    """Queries and keys as they are compared.

    Args:
        x: (B, n, L, C), n heads of queries, of keys or of both.
        weights: (n, 1, C), by which each head is multiplied after its root mean square was made 1;
            None leaves the heads as they are.
        rotation: rotation of the L positions; None turns nothing.
    """
    if weights is not None:
        x = (F.rms_norm(x.float(), x.shape[-1:], eps=EPSILON) * weights).to(x.dtype)
    return x if rotation is None else rotate(x, rotation)


def causal_attention(q: Tensor, k: Tensor, v: Tensor, dropout: float) -> Tensor:
    """Attention of the last positions of a sequence to all positions up to each.

    Args:
        q: (B, H, l, C), the queries of the last l positions.
        k: (B, G, L, C), the keys of all positions, L >= l.
        v: (B, G, L, C), the values of all positions.
        dropout: probability of dropping an attention weight.

    Returns:
        (B, H, l, C).
    """
    queries, keys = q.shape[2], k.shape[2]
    if queries == 1:  # the newest position may look everywhere
        return attend_freely(q, k, v, dropout=dropout)
    k, v = (_for_each_query_head(x, q.shape[1]) for x in (k, v))
    if queries == keys:
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=True)
    mask = torch.ones(queries, keys, dtype=torch.bool, device=q.device).tril(keys - queries)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)


def attend_freely(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    """Attention of one position (B, H, 1, C) to all keys and values (B, G, L, C).

    `mask` (1, L) bool is false where a key is left out. No key is copied for the heads of queries
    that share it: they are treated as several positions.

    Returns:
        (B, H, 1, C).
    """
    by_key = q.view(q.shape[0], k.shape[1], -1, q.shape[3])
    attended = F.scaled_dot_product_attention(by_key, k, v, attn_mask=mask, dropout_p=dropout)
    return attended.view(q.shape)


def masked_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, dropout: float = 0.0) -> Tensor:
    """Attention (B, H, l, C) of q (B, H, l, C) to those of k and v (B, G, L, C) that a mask allows.

    `mask` (l, L) bool is true where a query sees a key.
    """
    k, v = (_for_each_query_head(x, q.shape[1]) for x in (k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)


def _for_each_query_head(x: Tensor, heads: int) -> Tensor:
    """Repeat heads (B, G, L, C) of keys or values for all heads (B, H, L, C) of queries."""
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], dim=1)

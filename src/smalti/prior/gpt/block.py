"""One transformer block.

Axes: B batch, L sequence length, W width.
Reference: arXiv:2012.09841, App. A "Transformer Architecture"; Radford et al. 2019, "Language
    Models are Unsupervised Multitask Learners", Sec. 2.3: normalisation moves to the input.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from smalti.prior.attention import CausalSelfAttention
from smalti.prior.kv_cache import KVCache


class MLP(nn.Module):
    """Two linear layers with an exact GELU between them, at each position separately."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, W) -> (B, L, W)."""
        return self.contract(F.gelu(self.expand(x)))


class Block(nn.Module):
    """Pre-LN transformer block: attention, then the MLP, each added to its input.

    Args:
        layer: number of this block in a cache.
        width: W.
        heads: attention heads, divides the width.
        dropout: probability of dropping an attention weight or an output, in training only.
    """

    def __init__(self, layer: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = CausalSelfAttention(layer, width, heads, dropout)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = MLP(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        """(B, L, W) -> (B, L, W); with a cache, x are the positions that follow the cached ones."""
        x = x + self.dropout(self.attention(self.attention_norm(x), cache))
        return self._add_mlp(x)

    def last(self, x: Tensor, cache: KVCache | None = None) -> Tensor:
        """The last position (B, 1, W) of what `forward` returns, without computing the others."""
        attended = self.attention.last(self.attention_norm(x), cache)
        return self._add_mlp(x[:, -1:] + self.dropout(attended))

    def _add_mlp(self, x: Tensor) -> Tensor:
        """(B, L, W) -> (B, L, W)."""
        return x + self.dropout(self.mlp(self.mlp_norm(x)))

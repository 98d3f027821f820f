"""Conditioning of a convolutional prior: turns its tokens into features for attention and cells.

Axes: B batch, h/w grid, N = h * w cells, S conditioning length, W width.
Reference: arXiv:2012.09841, Sec. 3.2, "Conditioned Synthesis": the conditioning stands before the
    image. A convolution needs it elsewhere: beside the image.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smalti.prior.base import GridSizes
from smalti.prior.block import MLP
from smalti.prior.linear import Linear
from smalti.prior.pixelsnail.config import PixelSNAILConfig

COND_LAYERS = 1  # of attention among the conditioning tokens


@dataclass(frozen=True, slots=True)
class CondFeatures:
    """Features of the conditioning tokens."""

    states: Tensor
    """States (B, S, W), one for each token, to which attention attends."""
    cells: Tensor
    """Features (B, h, w, W) of each cell, or (B, 1, 1, W) if they are the same for all."""

    def crop(self, rows: slice, columns: slice) -> "CondFeatures":
        """The conditioning of a rectangle of the grid."""
        if self.cells.shape[1:3] == (1, 1):
            return self
        return CondFeatures(self.states, self.cells[:, rows, columns])

    def take(self, rows: Tensor) -> "CondFeatures":
        """The conditioning of images rows[i], rows being (B,) int64."""
        return CondFeatures(self.states[rows], self.cells[rows])


class CondLayer(nn.Module):
    """Attention of each conditioning token to all of them, then an MLP, each added to its input.

    Args:
        width: W.
        heads: number of attention heads, which divides the width.
        dropout: probability of dropping an attention weight or an output, in training only.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = Linear(width, 3 * width)
        self.projection = Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = MLP(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, S, W) -> (B, S, W)."""
        batch, length, _ = x.shape
        heads = self.qkv(self.attention_norm(x)).view(batch, length, 3, self.heads, -1)
        q, k, v = heads.permute(2, 0, 3, 1, 4).unbind()  # (B, heads, S, W / heads) each
        dropout = self.dropout.p if self.training else 0.0
        attended = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        x = x + self.dropout(self.projection(attended.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.mlp(self.mlp_norm(x)))


class CondEncoder(nn.Module):
    """Encodes embedded conditioning tokens into `CondFeatures`.

    If the length is a multiple of the number of cells, the conditioning is one or several pictures
    of the same grid, and a cell gets the mean of the tokens at its place. Otherwise (one class,
    several conditions of different length) every cell gets the mean of all tokens, and attends to
    single ones.

    Args:
        config: shape of the network.
        sizes: conditioning and grid.
        dropout: see `CondLayer`.
    """

    def __init__(self, config: PixelSNAILConfig, sizes: GridSizes, dropout: float) -> None:
        super().__init__()
        self.grid = (sizes.grid_height, sizes.grid_width)
        self.is_aligned = sizes.cond_length % (sizes.grid_height * sizes.grid_width) == 0
        self.position_embedding = nn.Parameter(torch.empty(sizes.cond_length, config.width))
        self.layers = nn.ModuleList(
            CondLayer(config.width, config.heads, dropout) for _ in range(COND_LAYERS)
        )
        self.norm = nn.LayerNorm(config.width)

    def forward(self, embedded: Tensor) -> CondFeatures:
        """Encode embedded conditioning tokens (B, S, W)."""
        x = embedded + self.position_embedding
        for layer in self.layers:
            x = layer(x)
        states = self.norm(x)
        if self.is_aligned:
            cells = states.unflatten(1, (-1, *self.grid)).mean(1)
        else:
            cells = states.mean(1)[:, None, None]
        return CondFeatures(states, cells)

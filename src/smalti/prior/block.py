"""One transformer block, of GPT-2 or with other choices.

Axes: B batch, L sequence length, W width.
Reference: arXiv:2012.09841, App. A "Transformer Architecture"; Radford et al. 2019, "Language
    Models are Unsupervised Multitask Learners", Sec. 2.3: normalisation moves to the input. For the
    choices: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization", arXiv:1910.07467;
    Shazeer 2020, "GLU Variants Improve Transformer", arXiv:2002.05202; Chen et al. 2023,
    "PixArt-alpha", arXiv:2310.00426, Sec. 2.3 (a class scales and shifts the normalised input).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smalti.prior.attention import Attend, CausalSelfAttention
from smalti.prior.linear import Linear
from smalti.prior.rotary import Rotation
from smalti.prior.transformer_config import BlockShape, Norm

MODULATIONS = 4
"""Vectors by which a class changes a block: scale and shift of each of its two normalisations."""


def build_norm(kind: Norm, width: int) -> nn.LayerNorm | nn.RMSNorm:
    """Build a normalisation over the width."""
    return nn.LayerNorm(width) if kind == "layer" else nn.RMSNorm(width, eps=1e-6)


def reset_linear(network: nn.Module, generator: torch.Generator | None) -> None:
    """Draw new weights of all linear layers and embeddings: normal, deviation 0.02, biases zero."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02, generator=generator)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


class MLP(nn.Module):
    """Two linear layers with an exact GELU between them, at each position separately."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.expand = Linear(width, 4 * width)
        self.contract = Linear(4 * width, width)

    @staticmethod
    def activate(x: Tensor) -> Tensor:
        """What stands between the two layers."""
        return F.gelu(x)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, W) -> (B, L, W)."""
        return self.contract(self.activate(self.expand(x)))


class SwiGLU(MLP):
    """Two linear layers, of whose first output one half gates the other, at each position.

    It has about as many weights as `MLP`.
    """

    def __init__(self, width: int) -> None:
        nn.Module.__init__(self)
        inner = -(-8 * width // 24) * 8  # at least 8 / 3 of the width, a multiple of 8
        self.expand = Linear(width, 2 * inner)
        self.contract = Linear(inner, width)

    @staticmethod
    def activate(x: Tensor) -> Tensor:
        """One half times the SiLU of the other."""
        gate, value = x.chunk(2, dim=-1)
        return F.silu(gate) * value


class Block(nn.Module):
    """Transformer block: attention, then the MLP, each of a normalised input and added to it.

    Args:
        layer: number of this block.
        shape: what the block is made of.
        dropout: probability of dropping an attention weight or an output, in training only.
    """

    def __init__(self, layer: int, shape: BlockShape, dropout: float) -> None:
        super().__init__()
        width = shape.width
        self.attention_norm = build_norm(shape.norm, width)
        self.attention = CausalSelfAttention(layer, shape, dropout)
        self.mlp_norm = build_norm(shape.norm, width)
        self.mlp = MLP(width) if shape.mlp == "gelu" else SwiGLU(width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        attend: Attend | None = None,
        rotation: Rotation | None = None,
        modulation: Tensor | None = None,
    ) -> Tensor:
        """(B, L, W) -> (B, L, W).

        Args:
            x: (B, L, W).
            attend: how the positions attend; None is to those up to each of them.
            rotation: rotation of the positions of x; None turns nothing.
            modulation: (B, 4, W), by what the class scales and shifts; None without a class.
        """
        normalised = modulated(self.attention_norm(x), modulation, 0)
        x = x + self.dropout(self.attention(normalised, attend, rotation))
        return self._add_mlp(x, modulation)

    def last(
        self,
        x: Tensor,
        attend: Attend | None = None,
        rotation: Rotation | None = None,
        modulation: Tensor | None = None,
    ) -> Tensor:
        """The last position (B, 1, W) of what `forward` returns, without computing the others."""
        normalised = modulated(self.attention_norm(x), modulation, 0)
        attended = self.attention.last(normalised, attend, rotation)
        return self._add_mlp(x[:, -1:] + self.dropout(attended), modulation)

    def _add_mlp(self, x: Tensor, modulation: Tensor | None) -> Tensor:
        """(B, L, W) -> (B, L, W)."""
        return x + self.dropout(self.mlp(modulated(self.mlp_norm(x), modulation, 1)))


def modulated(x: Tensor, modulation: Tensor | None, norm: int) -> Tensor:
    """Scale and shift the output (B, L, W) of a normalisation by the class.

    Args:
        x: (B, L, W), or (B, W) of one position.
        modulation: (B, 4, W); None leaves x as it is.
        norm: 0 for that of the attention, 1 for that of the MLP.
    """
    if modulation is None:
        return x
    scale, shift = modulation[:, 2 * norm], modulation[:, 2 * norm + 1]
    if x.ndim > scale.ndim:
        scale, shift = scale.unsqueeze(1), shift.unsqueeze(1)
    return torch.addcmul(x + shift, x, scale)

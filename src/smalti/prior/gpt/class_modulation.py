"""A class that scales and shifts what the blocks of a transformer normalise.

Axes: B batch, W width.
Reference: Peebles and Xie 2023, "Scalable Diffusion Models with Transformers", arXiv:2212.09748,
    Sec. 3.2 (adaptive layer norm, from zero); Chen et al. 2023, "PixArt-alpha", arXiv:2310.00426,
    Sec. 2.3 (one layer for all blocks, and a vector for each).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smalti.prior.block import MODULATIONS


class ClassModulation(nn.Module):
    """Scales and shifts of all blocks, from the embedded token of the class.

    Args:
        layers: number of blocks.
        width: W.

    Deviation: the blocks' outputs are not gated.
    """

    def __init__(self, layers: int, width: int) -> None:
        super().__init__()
        self.of_all = nn.Linear(width, MODULATIONS * width)
        self.of_layers = nn.Parameter(torch.zeros(layers, 1, MODULATIONS, width))

    def reset_parameters(self) -> None:
        """Begin with zeros: the class changes nothing."""
        for weight in self.parameters():
            nn.init.zeros_(weight)

    def forward(self, embedded: Tensor) -> Tensor:
        """Embedded classes (B, W) -> (layers, B, 4, W), see `modulated`."""
        of_all = self.of_all(F.silu(embedded)).unflatten(-1, (MODULATIONS, -1))
        return of_all + self.of_layers

"""The residual block of PixelSNAIL: two causal convolutions and a gate.

Axes: B batch, h/w grid, W width.
Reference: Chen et al. 2018, arXiv:1712.09763, "residual block"; Salimans et al. 2017,
    arXiv:1701.05517, whose block it is.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from smalti.prior.linear import Linear
from smalti.prior.pixelsnail.causal_conv import CausalConv
from smalti.prior.pixelsnail.cell_cache import CellCache


class GatedResidual(nn.Module):
    """Convolutions whose result is added to the input, as far as a gate lets it through.

    Args:
        width: W.
        kernel_size: of both convolutions; 1 looks at the cell itself only.
        dropout: probability of dropping a value between the convolutions, in training only.
        has_second_input: whether another map joins before the second convolution.

    Deviation: the input is normalised over the channels of each cell; the source normalises the
        weights.
    """

    def __init__(
        self, width: int, kernel_size: int, dropout: float, *, has_second_input: bool = False
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = CausalConv(width, width, kernel_size)
        self.second_input = Linear(width, width, bias=False) if has_second_input else None
        self.dropout = nn.Dropout(dropout)
        self.second = CausalConv(width, 2 * width, kernel_size)
        self.modulation = Linear(width, 2 * width, bias=False)

    def forward(
        self,
        x: Tensor,
        cond_cells: Tensor,
        second: Tensor | None = None,
        cache: CellCache | None = None,
    ) -> Tensor:
        """Compute the block's features.

        Args:
            x: (B, h, w, W); with a cache that is past the first rows, all inputs are those of its
                newest cell, (B, 1, 1, W).
            cond_cells: conditioning (B, h, w, W), or (B, 1, 1, W) for all cells.
            second: (B, h, w, W), the second input, if the block has one.
            cache: cache to which what later cells need is added.

        Returns:
            (B, h, w, W).
        """
        hidden = self.first(F.elu(self.norm(x)), cache)
        if self.second_input is not None:
            assert second is not None, "the block was made for a second input"
            hidden = hidden + self.second_input(F.elu(second))
        hidden = self.second(self.dropout(F.elu(hidden)), cache)
        value, gate = (hidden + self.modulation(cond_cells)).chunk(2, dim=-1)
        return x + value * gate.sigmoid()

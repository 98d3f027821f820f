"""One block of PixelSNAIL: convolutions for what is near, attention for what is far.

Axes: B batch, h/w grid, W width.
Reference: Chen et al. 2018, arXiv:1712.09763, the block of which the network is a stack.
"""

from torch import Tensor, nn

from smalti.prior.pixelsnail.cell_attention import CellAttention
from smalti.prior.pixelsnail.cell_cache import CellCache
from smalti.prior.pixelsnail.cond_features import CondFeatures
from smalti.prior.pixelsnail.config import PixelSNAILConfig
from smalti.prior.pixelsnail.gated_residual import GatedResidual


class SnailBlock(nn.Module):
    """Gated residual blocks, attention, and a gated block of 1x1 convolutions that joins both.

    Args:
        layer: number of this block in a cache.
        config: shape of the network.
        dropout: probability of dropping a value, in training only.
    """

    def __init__(self, layer: int, config: PixelSNAILConfig, dropout: float) -> None:
        super().__init__()
        self.residuals = nn.ModuleList(
            GatedResidual(config.width, config.kernel_size, dropout)
            for _ in range(config.residual_blocks)
        )
        self.attention = CellAttention(layer, config.width, config.heads, dropout)
        self.join = GatedResidual(config.width, 1, dropout, has_second_input=True)

    def forward(
        self,
        x: Tensor,
        embedded: Tensor,
        conditioning: CondFeatures,
        cache: CellCache | None = None,
    ) -> Tensor:
        """Compute the block's features.

        Args:
            x: (B, h, w, W), features of the cells; with a cache that is past the first rows, those
                of its newest cell, (B, 1, 1, W).
            embedded: likewise, the cells' tokens, of which each cell sees those before it.
            conditioning: conditioning of these cells.
            cache: cache to which what later cells need is added.

        Returns:
            Features of the shape of x.
        """
        for residual in self.residuals:
            x = residual(x, conditioning.cells, cache=cache)
        attended = self.attention(x, embedded, conditioning.states, cache)
        return self.join(x, conditioning.cells, attended, cache)

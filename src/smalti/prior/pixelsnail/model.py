"""PixelSNAIL: the convolutional prior that the paper compares its transformer with.

The image tokens lie in a map of the grid, which causal convolutions and attention read. The map
has the cells in the order of the sequence, row by row: with another ordering than row-major it is
not the image but that sequence, folded at each `grid_width` tokens, and what the convolutions
take for neighbours need not be neighbours.

Axes: B batch, L sequence length, S conditioning length, V vocabulary size, h/w grid, W width.
Reference: Chen et al. 2018, "PixelSNAIL: An Improved Autoregressive Generative Model",
    arXiv:1712.09763; compared in arXiv:2012.09841, Sec. 4.1, Table 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smalti.config import InputError
from smalti.prior.base import PRIORS, GridSizes
from smalti.prior.kv_cache import KVCache, dtype_in_use
from smalti.prior.linear import Linear
from smalti.prior.pixelsnail.block import SnailBlock
from smalti.prior.pixelsnail.causal_conv import CausalConv
from smalti.prior.pixelsnail.cell_cache import CellCache
from smalti.prior.pixelsnail.cond_features import CondEncoder, CondFeatures
from smalti.prior.pixelsnail.config import PixelSNAILConfig


@PRIORS.register("pixelsnail")
class PixelSNAIL(nn.Module):
    """Causal convolutions over the map of tokens, with attention between them.

    It follows the `Prior` protocol. Logits before the last conditioning token, which predict no
    image token, are zero.

    Args:
        config: shape of the network; `dropout` must be a number.
        sizes: vocabulary, conditioning and grid.

    Raises:
        InputError: the length is not that of the conditioning and all cells but the last.

    Deviation: cells have learned vectors for row and column where the source has two channels of
        coordinates; LayerNorm and not weight normalisation (`GatedResidual`).
    """

    def __init__(self, config: PixelSNAILConfig, sizes: GridSizes) -> None:
        super().__init__()
        assert config.dropout != "auto", "the config was not settled"
        length = sizes.cond_length + sizes.grid_height * sizes.grid_width - 1
        if sizes.max_length != length:
            raise InputError(
                f"max_length must be {length}, the conditioning ({sizes.cond_length}) and all but "
                f"one of {sizes.grid_height} x {sizes.grid_width} cells, got {sizes.max_length}"
            )
        self.config, self.sizes = config, sizes
        width = config.width
        self.token_embedding = nn.Embedding(sizes.vocab_size, width)
        self.row_embedding = nn.Parameter(torch.empty(sizes.grid_height, 1, width))
        self.column_embedding = nn.Parameter(torch.empty(sizes.grid_width, width))
        self.dropout = nn.Dropout(config.dropout)
        self.cond_encoder = CondEncoder(config, sizes, config.dropout)
        self.input = CausalConv(width, width, config.kernel_size, sees_itself=False)
        self.blocks = nn.ModuleList(
            SnailBlock(layer, config, config.dropout) for layer in range(config.blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.head = Linear(width, sizes.vocab_size)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights: convolutions keep the variance, the others are normal, deviation 0.02.

        Args:
            generator: generator on the device of the weights; None is torch's default generator.
        """
        positions = (self.row_embedding, self.column_embedding)
        for table in (*positions, self.cond_encoder.position_embedding):
            nn.init.normal_(table, std=0.02, generator=generator)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02, generator=generator)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
            if isinstance(module, CausalConv):
                module.reset_parameters(generator)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, L, V) of tokens (B, L), as `logits`, where wrappers expect a forward pass."""
        return self.logits(tokens)

    def logits(
        self, tokens: Tensor, cache: CellCache | None = None, last_only: bool = False
    ) -> Tensor:
        """Logits (B, L, V) of the token that follows each of tokens (B, L) int64 in [0, V).

        They depend on the tokens up to their position only, and are zero before the last
        conditioning token. `Prior` tells of `cache` and `last_only`.

        Raises:
            ValueError: the sequence, with what is cached, is longer than `max_length`.
        """
        end = tokens.shape[1] + (0 if cache is None else cache.length)
        self.sizes.check_length(end)
        wanted = 1 if last_only else tokens.shape[1]
        if cache is not None and cache.conditioning is not None:
            return self._cell_by_cell(tokens, cache)[:, -wanted:]
        if cache is not None:
            tokens = cache.join(tokens)
        if end < self.sizes.cond_length:
            return self.head.weight.new_zeros(len(tokens), wanted, self.sizes.vocab_size)
        return self._rows(tokens, cache, wanted)

    def _rows(self, tokens: Tensor, cache: CellCache | None, wanted: int) -> Tensor:
        """Logits of a sequence (B, L) that holds the conditioning, all rows at once.

        Returns:
            (B, wanted, V), those of the last positions.
        """
        cond_length, width = self.sizes.cond_length, self.sizes.grid_width
        embedded = self.dropout(self.token_embedding(tokens))
        conditioning: CondFeatures = self.cond_encoder(embedded[:, :cond_length])
        known = tokens.shape[1] - cond_length
        rows = known // width + 1  # down to the cell that comes next
        if cache is not None:
            cache.conditioning, cache.cell = conditioning, known
        cells = F.pad(embedded[:, cond_length:], (0, 0, 0, rows * width - known))
        cells = cells.view(len(tokens), rows, width, -1)
        x = self._predict(cells, slice(0, rows), slice(None), conditioning, cache)
        if cache is not None:
            cache.finish(tokens.shape[1])
        first = max(known + 1 - wanted, 0)
        logits = self.head(x.flatten(1, 2)[:, first : known + 1])
        return F.pad(logits, (0, 0, wanted - logits.shape[1], 0))

    def _cell_by_cell(self, tokens: Tensor, cache: CellCache) -> Tensor:
        """Logits (B, L, V) of tokens (B, L) that follow the cached ones, a cell after the other."""
        assert cache.conditioning is not None, "the cache has not seen the conditioning"
        logits = []
        for embedded in self.dropout(self.token_embedding(tokens)).split(1, dim=1):
            cache.cell += 1
            row, column = cache.place
            rows, columns = slice(row, row + 1), slice(column, column + 1)
            x = self._predict(embedded[:, None], rows, columns, cache.conditioning, cache)
            cache.finish(1)
            logits.append(self.head(x.flatten(1, 2)))
        return torch.cat(logits, dim=1)

    def _predict(
        self,
        embedded: Tensor,
        rows: slice,
        columns: slice,
        conditioning: CondFeatures,
        cache: CellCache | None,
    ) -> Tensor:
        """Compute the input of the head for a rectangle of the grid (rows from the top, or a cell).

        Args:
            embedded: (B, rows, columns, W) tokens of the cells; for one cell, that of the cell
                before.
            rows: rows of the rectangle.
            columns: columns of the rectangle.
            conditioning: conditioning of the whole grid.
            cache: cache to which what later cells need is added.

        Returns:
            (B, rows, columns, W).
        """
        conditioning = conditioning.crop(rows, columns)
        x = self.input(embedded, cache) + self.row_embedding[rows] + self.column_embedding[columns]
        for block in self.blocks:
            x = block(x, embedded, conditioning, cache)
        return F.elu(self.norm(x))

    def new_cache(self, batch_size: int) -> CellCache:
        """Make an empty cache for `max_length` tokens, in the dtype (autocast or not) in use now.

        It serves generation in eval mode, with the present weights. The call that completes the
        conditioning may hold any number of image tokens, and computes them together; later calls go
        cell by cell.
        """
        config, sizes, weight = self.config, self.sizes, self.head.weight
        dtype = dtype_in_use(weight)
        shape = (batch_size, config.heads, sizes.max_length, config.width // config.heads)
        kv = KVCache(config.blocks, shape, dtype, weight.device)
        return CellCache(kv, (sizes.grid_height, sizes.grid_width), dtype)

"""The local prior: a transformer whose cells attend to their neighbourhood only.

Positions are rotary in two dimensions, so that only the distance of two cells counts. What a row
has computed stays true when the image grows: each new code costs one pass over one token, whatever
the size of the image, with a cache of one band of rows (`Band`).

Axes: B batch, L sequence length, S conditioning length, V vocabulary size, W width, h/w grid.
Reference: the window is that of arXiv:2012.09841, Sec. 3.2 "Generating High-Resolution Images";
    Parmar et al. 2018, "Image Transformer", arXiv:1802.05751, Sec. 3.3 (attention to a local
    neighbourhood).
Deviation: the paper's transformer attends to all that is in the window, and reads the window again
    for each code.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from smalti.prior.attention import masked_attention
from smalti.prior.base import PRIORS, GridSizes
from smalti.prior.local.band import Band
from smalti.prior.local.cache import LocalCache
from smalti.prior.local.config import LocalConfig
from smalti.prior.local.neighbourhood import visible
from smalti.prior.local.network import LocalNetwork
from smalti.prior.local.sequence import tokens_of
from smalti.prior.places import Turning


@PRIORS.register("local")
class LocalGPT(LocalNetwork):
    """Autoregressive transformer with attention to a neighbourhood of rows and columns.

    It follows the `Prior` protocol. Logits before the last conditioning token, which predict no
    image token, are zero.

    Args:
        config: shape of the transformer; `dropout` must be a number.
        sizes: vocabulary, conditioning and grid, in row-major order.
    """

    mask: Tensor
    """(L, L) bool, which of the tokens of a sequence of the training size each one sees."""

    def __init__(self, config: LocalConfig, sizes: GridSizes) -> None:
        super().__init__(config, sizes)
        with torch.device("cpu"):  # these are no weights, which may be made without values at first
            tokens = tokens_of(sizes)
            self.turning = Turning(tokens.places, config.block.head_channels)
            mask = visible(tokens, tokens, self.reach)
        self.register_buffer("mask", mask, persistent=False)
        self.reset_parameters()

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, L, V) of tokens (B, L), as `logits`, where wrappers expect a forward pass."""
        return self.logits(tokens)

    def logits(
        self, tokens: Tensor, cache: LocalCache | None = None, last_only: bool = False
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
        if cache is not None:
            return cache.read(tokens)[:, -wanted:]
        if end < self.sizes.cond_length:
            return self.head.weight.new_zeros(len(tokens), wanted, self.sizes.vocab_size)
        return self._whole(tokens)[:, -wanted:]

    def _whole(self, tokens: Tensor) -> Tensor:
        """Logits (B, L, V) of a sequence (B, L) that holds the conditioning."""
        cond_length, width = self.sizes.cond_length, self.sizes.grid_width
        codes = tokens[:, cond_length:]
        cells = torch.arange(codes.shape[1] + 1, device=tokens.device)
        predicting = cond_length + cells + cells // width  # a token begins each row
        length = cond_length + codes.shape[1] + codes.shape[1] // width + 1
        x = torch.cat([self.embed_conditioning(tokens[:, :cond_length]), self._rows(codes)], dim=1)
        x = self.dropout(x[:, :length])
        rotation = self.turning.rotation.of(slice(length))
        for block in self.layers:
            x = block(x, self._attend, rotation)
        logits = self.head(self.norm(x[:, predicting]))
        return F.pad(logits, (0, 0, cond_length - 1, 0))

    def _rows(self, codes: Tensor) -> Tensor:
        """Embed codes (B, n) as whole rows (B, rows * (w + 1), W), each after its beginning."""
        width = self.sizes.grid_width
        rows = codes.shape[1] // width + 1
        padded = F.pad(codes, (0, rows * width - codes.shape[1])).view(len(codes), rows, width)
        return self.embed_rows(padded).flatten(1, 2)

    def _attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention of all tokens to those that they see: `Attend`."""
        length = q.shape[2]
        mask = self.mask[:length, :length]
        dropout = self.layers[layer].attention.dropout if self.training else 0.0
        return masked_attention(q, k, v, mask, dropout)

    def new_cache(self, batch_size: int) -> LocalCache:
        """Make an empty cache for `max_length` tokens, in the dtype (autocast or not) in use now.

        It serves generation in eval mode, with the present weights. It begins to compute when it
        has all conditioning tokens, and then goes code by code.
        """
        return LocalCache(self, batch_size)

    def new_band(self, batch_size: int, height: int, width: int, maps: Sequence[Tensor]) -> Band:
        """Make an empty cache for an image of any size.

        Args:
            batch_size: B.
            height: rows of codes of the image.
            width: columns of codes of the image.
            maps: tokens (B, rows, columns) int64 of each map, of the whole image.
        """
        return Band(self, batch_size, height, width, maps)

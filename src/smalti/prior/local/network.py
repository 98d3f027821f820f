"""The weights of the local prior, and how its tokens are embedded.

Axes: B batch, S conditioning length, W width, V vocabulary size.
"""

from typing import cast

import torch
from torch import Tensor, nn

from smalti.prior.base import GridSizes
from smalti.prior.block import Block, build_norm, reset_linear
from smalti.prior.linear import Linear
from smalti.prior.local.config import LocalConfig
from smalti.prior.local.sequence import global_numbers


class LocalNetwork(nn.Module):
    """Embeddings, blocks and head of a transformer. Each row of an image begins with a vector.

    Args:
        config: shape of the transformer; `dropout` must be a number.
        sizes: vocabulary, conditioning and grid, in row-major order.
    """

    def __init__(self, config: LocalConfig, sizes: GridSizes) -> None:
        super().__init__()
        assert config.dropout != "auto", "the config was not settled"
        assert sizes.order is None, "the model's config was not checked"
        self.config, self.sizes, block = config, sizes, config.block
        self.reach = config.reach(sizes.grid_height, sizes.grid_width)
        self.globals = global_numbers(sizes)
        """Numbers of the conditioning tokens without a place."""
        self.token_embedding = nn.Embedding(sizes.vocab_size, config.width)
        self.global_embedding = nn.Parameter(torch.empty(len(self.globals), config.width))
        self.row_embedding = nn.Parameter(torch.empty(config.width))
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(layer, block, config.dropout) for layer in range(config.layers)
        )
        self.norm = build_norm(block.norm, config.width)
        self.head = Linear(config.width, sizes.vocab_size, bias=False)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights: normal with deviation 0.02, biases zero.

        Args:
            generator: generator on the device of the weights; None is torch's default generator.
        """
        for table in (self.global_embedding, self.row_embedding):
            nn.init.normal_(table, std=0.02, generator=generator)
        reset_linear(self, generator)

    @property
    def layers(self) -> list[Block]:
        """The transformer blocks, from the first to the last."""
        return cast(list[Block], list(self.blocks))

    def embed_globals(self, tokens: Tensor) -> Tensor:
        """Embed the conditioning tokens (B, n) that have no place: (B, n, W)."""
        return self.token_embedding(tokens) + self.global_embedding

    def embed_rows(self, codes: Tensor) -> Tensor:
        """Embed rows of codes (B, rows, columns), each after its beginning: one column more, W."""
        begin = self.row_embedding.expand(*codes.shape[:2], 1, -1)
        return torch.cat([begin, self.token_embedding(codes)], dim=2)

    def embed_conditioning(self, tokens: Tensor) -> Tensor:
        """Embed all conditioning tokens (B, S) of the training size: (B, S, W)."""
        embedded = self.token_embedding(tokens)
        position = torch.zeros_like(embedded[0])
        position[self.globals] = self.global_embedding.to(position.dtype)
        return embedded + position

"""GPT: the transformer of the paper, of GPT-2's shape.

Axes: B batch, L sequence length, V vocabulary size, W width.
Reference: arXiv:2012.09841, Sec. 3.2, App. A "Transformer Architecture"; Radford
    et al. 2019, "Language Models are Unsupervised Multitask Learners", Sec. 2.3.
"""

from typing import cast

import torch
from torch import Tensor, nn

from smalti.prior.base import PRIORS, SequenceSizes
from smalti.prior.gpt.block import Block
from smalti.prior.gpt.config import GPTConfig
from smalti.prior.gpt.decoding import DecodingCache


@PRIORS.register("gpt")
class GPT(nn.Module):
    """Autoregressive transformer with learned positions and an untied head without bias.

    It follows the `Prior` protocol.

    Args:
        config: shape of the transformer; `dropout` must be a number.
        sizes: vocabulary and length.
    """

    def __init__(self, config: GPTConfig, sizes: SequenceSizes) -> None:
        super().__init__()
        assert config.dropout != "auto", "the config was not settled"
        self.config, self.sizes = config, sizes
        self.token_embedding = nn.Embedding(sizes.vocab_size, config.width)
        self.position_embedding = nn.Parameter(torch.empty(sizes.max_length, config.width))
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(layer, config.width, config.heads, config.dropout)
            for layer in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, sizes.vocab_size, bias=False)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights, as the released code does: normal with deviation 0.02, biases zero.

        Args:
            generator: generator on the device of the weights; None is torch's default generator.
        """
        nn.init.zeros_(self.position_embedding)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02, generator=generator)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (B, L, V) of tokens (B, L), as `logits`, where wrappers expect a forward pass."""
        return self.logits(tokens)

    def logits(
        self, tokens: Tensor, cache: DecodingCache | None = None, last_only: bool = False
    ) -> Tensor:
        """Logits (B, L, V) of the token that follows each of tokens (B, L) int64 in [0, V).

        They depend on the tokens up to their position only. `Prior` tells of `cache` and
        `last_only`.

        Raises:
            ValueError: the sequence, with what is cached, is longer than `max_length`.
        """
        start = 0 if cache is None else cache.length
        end = start + tokens.shape[1]
        if end > self.sizes.max_length:
            raise ValueError(f"a sequence of {end} tokens exceeds {self.sizes.max_length}")
        x = self.dropout(self.token_embedding(tokens) + self.position_embedding[start:end])
        if cache is not None and tokens.shape[1] == 1:
            return cache.step(x.squeeze(1)).unsqueeze(1)
        *blocks, last_block = cast(list[Block], list(self.blocks))
        for block in blocks:
            x = block(x, cache)
        x = last_block.last(x, cache) if last_only else last_block(x, cache)
        if cache is not None:
            cache.advance(tokens.shape[1])
        return self.head(self.norm(x))

    def new_cache(self, batch_size: int) -> DecodingCache:
        """Make an empty cache for `max_length` tokens, in the dtype (autocast or not) in use now.

        It serves generation in eval mode, with the present weights.
        """
        weight = self.head.weight
        kind = weight.device.type
        autocast = torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind) if autocast else weight.dtype
        heads, width = self.config.heads, self.config.width
        shape = (batch_size, heads, self.sizes.max_length, width // heads)
        blocks = cast(list[Block], list(self.blocks))
        return DecodingCache(blocks, self.norm, self.head, shape, dtype)

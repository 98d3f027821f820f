"""GPT: the transformer of the paper, of GPT-2's shape.

Axes: B batch, L sequence length, V vocabulary size, W width.
Reference: arXiv:2012.09841, Sec. 3.2, App. A "Transformer Architecture"; Radford
    et al. 2019, "Language Models are Unsupervised Multitask Learners", Sec. 2.3.
"""

from typing import Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from smalti.config import Config
from smalti.prior.gpt.block import Block
from smalti.prior.gpt.decoding import DecodingCache
from smalti.prior.registry import PRIORS


class GPTConfig(Config):
    """Shape of a `GPT`."""

    kind: Literal["gpt"] = "gpt"
    vocab_size: int = Field(ge=2)
    """V, number of values of a token: codes and conditioning together."""
    max_length: int = Field(ge=1)
    """Longest sequence the model reads, in tokens."""
    layers: int = Field(default=8, ge=1)
    """Number of transformer blocks."""
    heads: int = Field(default=8, ge=1)
    """Attention heads of each block; divides the width."""
    width: int = Field(default=256, ge=1)
    """W, length of the vector at each position."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability of dropping an embedding, an attention weight or a block's output in training."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


@PRIORS.register("gpt")
class GPT(nn.Module):
    """Autoregressive transformer with learned positions and an untied head without bias.

    Follows the `Prior` protocol.
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.width)
        self.position_embedding = nn.Parameter(torch.empty(config.max_length, config.width))
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(layer, config.width, config.heads, config.dropout)
            for layer in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights, as the released code does: normal with deviation 0.02, biases zero.

        Args:
            generator: source of the draw, on the device of the weights; None is torch's own.
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
        """Scores of the token that follows each position.

        Args:
            tokens: (B, L) int64 in [0, V).
            cache: from `new_cache`, if the tokens follow earlier ones; they are added to it.
            last_only: leave out the scores of all but the last position, which take much memory.

        Returns:
            (B, L, V), or (B, 1, V); each position depends on the tokens up to it only.

        Raises:
            ValueError: the sequence, with what is cached, is longer than `max_length`.
        """
        start = 0 if cache is None else cache.length
        end = start + tokens.shape[1]
        if end > self.config.max_length:
            raise ValueError(f"a sequence of {end} tokens exceeds {self.config.max_length}")
        x = self.dropout(self.token_embedding(tokens) + self.position_embedding[start:end])
        if cache is not None and tokens.shape[1] == 1:
            return cache.step(x.squeeze(1)).unsqueeze(1)
        for block in self.blocks:
            x = block(x, cache)
        if cache is not None:
            cache.advance(tokens.shape[1])
        if last_only:
            x = x[:, -1:]
        return self.head(self.norm(x))

    def new_cache(self, batch_size: int) -> DecodingCache:
        """An empty cache for `max_length` tokens, in the dtype (autocast or not) in use now.

        It serves generation in eval mode, and with the weights as they are now.
        """
        weight = self.head.weight
        kind = weight.device.type
        autocast = torch.is_autocast_enabled(kind)
        dtype = torch.get_autocast_dtype(kind) if autocast else weight.dtype
        heads, width = self.config.heads, self.config.width
        shape = (batch_size, heads, self.config.max_length, width // heads)
        blocks = cast(list[Block], list(self.blocks))
        return DecodingCache(blocks, self.norm, self.head, shape, dtype)

"""GPT: the transformer of the paper, of GPT-2's shape, or with other choices of its blocks.

Axes: B batch, L sequence length, V vocabulary size, W width.
Reference: arXiv:2012.09841, Sec. 3.2, App. A "Transformer Architecture"; Radford
    et al. 2019, "Language Models are Unsupervised Multitask Learners", Sec. 2.3.
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smalti.prior.base import PRIORS, GridSizes, SequenceSizes
from smalti.prior.block import Block, build_norm, reset_linear
from smalti.prior.gpt.class_modulation import ClassModulation
from smalti.prior.gpt.config import GPT2Config, GPTConfig
from smalti.prior.gpt.decoding import DecodingCache, TokenStep
from smalti.prior.kv_cache import dtype_in_use
from smalti.prior.linear import Linear
from smalti.prior.places import Turning, places_of
from smalti.prior.rotary import Rotation


@PRIORS.register("gpt2")
@PRIORS.register("gpt")
class GPT(nn.Module):
    """Autoregressive transformer with learned positions and an untied head without bias.

    It follows the `Prior` protocol.

    Args:
        config: shape of the transformer; `dropout` must be a number.
        sizes: vocabulary and length; with rotary positions, or a class in the normalisations, also
            the grid.
    """

    def __init__(self, config: GPT2Config | GPTConfig, sizes: SequenceSizes) -> None:
        super().__init__()
        assert config.dropout != "auto", "the config was not settled"
        self.config, self.sizes = config, sizes
        self.token_embedding = nn.Embedding(sizes.vocab_size, config.width)
        has_targets = isinstance(config, GPTConfig) and config.target_positions
        self.positions = sizes.max_length + has_targets  # the last cell may be read, in any order
        self.position_embedding = nn.Parameter(torch.empty(self.positions, config.width))
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(layer, config.block, config.dropout) for layer in range(config.layers)
        )
        self.norm = build_norm(config.block.norm, config.width)
        self.head = Linear(config.width, sizes.vocab_size, bias=False)
        is_modulated = isinstance(config, GPTConfig) and config.class_by == "norm"
        self.modulation = ClassModulation(config.layers, config.width) if is_modulated else None
        is_turned = isinstance(config, GPTConfig) and config.positions == "rotary"
        self.turning: Turning | None = None
        if is_turned:
            with torch.device("cpu"):  # it is no weight, which may be made without values at first
                places = places_of(_with_grid(sizes), self.positions)
                self.turning = Turning(places, config.block.head_channels)
        self.target_embedding: nn.Parameter | None = None
        if has_targets:
            cells = self.positions - _with_grid(sizes).cond_length
            self.target_embedding = nn.Parameter(torch.empty(cells, config.width))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights, as the released code does: normal with deviation 0.02, biases zero.

        A class changes nothing at first.

        Args:
            generator: generator on the device of the weights; None is torch's default generator.
        """
        nn.init.zeros_(self.position_embedding)
        if self.target_embedding is not None:
            nn.init.normal_(self.target_embedding, std=0.02, generator=generator)
        reset_linear(self, generator)
        if self.modulation is not None:
            self.modulation.reset_parameters()

    def forward(self, tokens: Tensor, order: Tensor | None = None) -> Tensor:
        """Logits (B, L, V) of tokens (B, L), as `logits`, where wrappers expect a forward pass."""
        return self.logits(tokens, order=order)

    def logits(
        self,
        tokens: Tensor,
        cache: DecodingCache | None = None,
        last_only: bool = False,
        order: Tensor | None = None,
    ) -> Tensor:
        """Logits (B, L, V) of the token that follows each of tokens (B, L) int64 in [0, V).

        They depend on the tokens up to their position only. `Prior` tells of `cache` and
        `last_only`. `order` (B, cells) int64 tells that the image tokens of a whole sequence stand
        in another order, which differs between the images: the number of each among all in the
        usual order. It needs `target_positions`.

        Raises:
            ValueError: the sequence, with what is cached, is longer than `max_length`.
        """
        start = 0 if cache is None else cache.length
        end = start + tokens.shape[1]
        self.sizes.check_length(end)
        embedded = self.token_embedding(tokens)
        if order is None:
            x = self.dropout(embedded + self._positions(start, end))
        else:
            x = self.dropout(embedded + self._positions_of(order))
        reads_class = self.modulation is not None and start == 0
        if cache is not None and tokens.shape[1] == 1 and not reads_class:
            return cache.step(x.squeeze(1)).unsqueeze(1)
        rotation = self._rotation(start, end, order)
        attend = None if cache is None else cache.attend
        modulations = self._modulations(embedded, cache)
        *blocks, (last_block, modulation) = zip(self._blocks, modulations, strict=True)
        for block, of_block in blocks:
            x = block(x, attend, rotation, of_block)
        last = last_block.last if last_only else last_block
        x = last(x, attend, rotation, modulation)
        if cache is not None:
            cache.advance(tokens.shape[1])
        return self.head(self.norm(x))

    def _positions(self, start: int, end: int) -> Tensor:
        """What positions start to end add to their tokens, (l, W)."""
        positions = self.position_embedding[start:end]
        if self.target_embedding is None:
            return positions
        before = _with_grid(self.sizes).cond_length - 1  # positions without a target
        targets = self.target_embedding[max(start - before, 0) : max(end - before, 0)]
        return positions + F.pad(targets, (0, 0, len(positions) - len(targets), 0))

    def _positions_of(self, order: Tensor) -> Tensor:
        """What each position adds in sequences of other orders, (B, L, W)."""
        assert self.target_embedding is not None, "the run was not checked"
        read = self.position_embedding[self._numbers(order)]
        before = _with_grid(self.sizes).cond_length - 1
        return read + F.pad(self.target_embedding[order], (0, 0, before, 0))

    def _numbers(self, order: Tensor) -> Tensor:
        """Number (B, L) int64 in the usual order of each position of sequences of other orders."""
        cond_length = _with_grid(self.sizes).cond_length
        conditioning = torch.arange(cond_length, device=order.device).expand(len(order), -1)
        return torch.cat([conditioning, cond_length + order[:, :-1]], dim=1)

    def _rotation(self, start: int, end: int, order: Tensor | None) -> Rotation | None:
        if self.turning is None:
            return None
        if order is None:
            return self.turning.rotation.of(slice(start, end))
        return self.turning.rotation.of_each(self._numbers(order))

    def _modulations(
        self, embedded: Tensor, cache: DecodingCache | None
    ) -> Sequence[Tensor | None]:
        """By what the class changes each block: of tokens (B, L, W) from the first on, or kept."""
        if self.modulation is None:
            return [None] * len(self.blocks)
        if cache is not None and cache.modulations is not None and cache.length > 0:
            return cache.modulations
        modulations = self.modulation(embedded[:, 0])
        if cache is not None:
            cache.keep_modulations(modulations)
        return modulations.unbind()

    @property
    def _blocks(self) -> list[Block]:
        return cast(list[Block], list(self.blocks))

    def new_cache(self, batch_size: int) -> DecodingCache:
        """Make an empty cache for `max_length` tokens, in the dtype (autocast or not) in use now.

        It serves generation in eval mode, with the present weights.
        """
        weight, block = self.head.weight, self.config.block
        dtype = dtype_in_use(weight)
        shape = (batch_size, block.kv_heads, self.sizes.max_length, block.head_channels)
        step = TokenStep(self._blocks, self.norm, self.head, batch_size, dtype)
        rotation = None if self.turning is None else self.turning.rotation
        modulated_width = None if self.modulation is None else self.config.width
        return DecodingCache(step, shape, dtype, weight.device, rotation, modulated_width)


def _with_grid(sizes: SequenceSizes) -> GridSizes:
    assert isinstance(sizes, GridSizes), "this choice needs the grid"
    return sizes

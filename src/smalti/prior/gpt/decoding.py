"""Fast decoding, one token at a time, by the network of `Block` with weights prepared beforehand.

When a single token is read, time is that of reading every weight once (see `products`), and the
overhead of Python and of small operations. Tests check that the numbers are those of the modules.

Axes: R rows (one token each), W width, H heads, C channels of one head, L sequence length,
V vocabulary size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smalti.prior.attention import EPSILON, Attend, attend_freely, causal_attention
from smalti.prior.block import MODULATIONS, Block, modulated
from smalti.prior.gpt.static_step import StaticStep, is_worth_it
from smalti.prior.kv_cache import KVCache, SavedKV
from smalti.prior.products import prepare
from smalti.prior.rotary import Rotation, rotate

Comparable = Callable[[Tensor, Rotation | None], Tensor]
"""Queries and keys (R, H + G, 1, C) of a token and its rotation -> as they are compared."""


def prepare_norm(norm: nn.LayerNorm | nn.RMSNorm) -> Callable[[Tensor], Tensor]:
    """A normalisation without the module around it."""
    if isinstance(norm, nn.RMSNorm):
        assert norm.eps is not None
        return _prepare_rms_norm(norm.weight, norm.eps)
    shape, weight, bias, eps = norm.normalized_shape, norm.weight, norm.bias, norm.eps
    return lambda x: torch.layer_norm(x, shape, weight, bias, eps)


def _prepare_rms_norm(weight: Tensor, eps: float) -> Callable[[Tensor], Tensor]:
    """Root mean square normalisation over the last axis, in half of PyTorch's operations.

    Args:
        weight: (..., n) of the n channels, in float32.
        eps: added to the mean square.
    """
    channels = weight.shape[-1]
    scaled = weight.detach() * channels**0.5
    least = torch.tensor((channels * eps) ** 0.5, device=weight.device)

    def normalise(x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        return (x * scaled).div_(torch.hypot(length, least)).to(x.dtype)

    return normalise


def prepare_heads(weights: Tensor | None) -> Comparable:
    """What `comparable` does with weights (H + G, 1, C) of norms, or with None, without norms."""
    normalise = None if weights is None else _prepare_rms_norm(weights, EPSILON)

    def compared(x: Tensor, rotation: Rotation | None) -> Tensor:
        if normalise is not None:
            x = normalise(x)
        return x if rotation is None else rotate(x, rotation)

    return compared


class BlockStep:
    """A block's pass over one new token of each row.

    Args:
        layer: number of the block.
        block: block whose weights to use.
        rows: R.
        dtype: number format of the computation.
    """

    def __init__(self, layer: int, block: Block, rows: int, dtype: torch.dtype) -> None:
        attention = block.attention
        self.layer, self.heads = layer, attention.heads
        self.qk_and_v_heads = attention.qk_and_v_heads
        channels = attention.projection.in_features // attention.heads
        self.heads_shape = (rows, sum(self.qk_and_v_heads), 1, channels)
        self.compared = prepare_heads(attention.head_weights())
        self.attention_norm = prepare_norm(block.attention_norm)
        self.qkv = prepare(attention.qkv, rows, dtype)
        self.projection = prepare(attention.projection, rows, dtype)
        self.mlp_norm = prepare_norm(block.mlp_norm)
        self.expand = prepare(block.mlp.expand, rows, dtype)
        self.activate = block.mlp.activate
        self.contract = prepare(block.mlp.contract, rows, dtype)

    def __call__(
        self, x: Tensor, attend: Attend, rotation: Rotation | None, modulation: Tensor | None
    ) -> Tensor:
        """(R, W) -> (R, W); the attention adds the tokens' keys and values to the cache."""
        heads = self.qkv(modulated(self.attention_norm(x), modulation, 0)).view(self.heads_shape)
        qk, v = heads.split_with_sizes(self.qk_and_v_heads, dim=1)
        qk = self.compared(qk, rotation)
        attended = attend(self.layer, qk[:, : self.heads], qk[:, self.heads :], v)
        x = x + self.projection(attended.reshape(x.shape))
        hidden = self.activate(self.expand(modulated(self.mlp_norm(x), modulation, 1)))
        return x + self.contract(hidden)


class TokenStep:
    """The transformer's pass over one new token of each row.

    Args:
        blocks: the transformer's blocks.
        norm: the normalisation after them.
        head: the linear layer that gives the logits.
        rows: R.
        dtype: number format of the computation.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        norm: nn.LayerNorm | nn.RMSNorm,
        head: nn.Linear,
        rows: int,
        dtype: torch.dtype,
    ) -> None:
        self.blocks = [BlockStep(*numbered, rows, dtype) for numbered in enumerate(blocks)]
        self.norm = prepare_norm(norm)
        self.head = prepare(head, rows, dtype)

    def __call__(
        self,
        x: Tensor,
        attend: Attend,
        rotation: Rotation | None = None,
        modulations: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """Logits (R, V) of embedded tokens (R, W).

        Args:
            x: (R, W).
            attend: attention of each layer.
            rotation: rotation of the tokens' position; None turns nothing.
            modulations: (R, 4, W) of each block; None without a class that changes the blocks.
        """
        for number, block in enumerate(self.blocks):
            x = block(x, attend, rotation, None if modulations is None else modulations[number])
        return self.head(self.norm(x))


@dataclass(frozen=True, slots=True)
class SavedDecoding(SavedKV):
    """What a cache held of the tokens that it had read, copied."""

    modulations: Tensor | None
    """(layers, R, 4, W), by what their class changes the blocks; None without one."""


class DecodingCache(KVCache):
    """A KV cache, and the step that fills it token by token.

    Args:
        step: the transformer's pass over one token.
        shape: (R, G, L, C) of the keys of a layer, L being the longest sequence that fits.
        dtype: number format of the cache.
        device: device of the cache.
        rotation: rotation of all L positions; None turns nothing.
        modulated_width: W if a class changes the blocks, else None.
    """

    def __init__(
        self,
        step: TokenStep,
        shape: tuple[int, int, int, int],
        dtype: torch.dtype,
        device: torch.device,
        rotation: Rotation | None = None,
        modulated_width: int | None = None,
    ) -> None:
        layers = len(step.blocks)
        super().__init__(layers, shape, dtype, device)
        self._step, self._rotation = step, rotation
        self._static = StaticStep(self, self._compute) if is_worth_it(device) else None
        self._modulations: Tensor | None = None  # (layers, R, 4, W); they stay, see `StaticStep`
        self.modulations: Sequence[Tensor] | None = None
        if modulated_width is not None:
            size = (layers, shape[0], MODULATIONS, modulated_width)
            self._modulations = torch.zeros(size, device=device)
            self.modulations = self._modulations.unbind()

    @torch.no_grad()
    def step(self, x: Tensor) -> Tensor:
        """Logits (R, V) of embedded tokens (R, W), each the next of its row."""
        if self._static is None:
            rotation = self._rotation
            now = slice(self.length, self.length + 1)
            turned = None if rotation is None else rotation.of(now)
            logits = self._step(x, self._attend_to_all, turned, self.modulations)
        else:
            logits = self._static(x, self.length)
        self.advance(1)
        return logits

    def _compute(self, x: Tensor, attend: Attend, position: Tensor) -> Tensor:
        """Logits (R, V) of embedded tokens (R, W) at a position (1,) int64 on their device."""
        rotation = self._rotation
        turned = None if rotation is None else rotation.at(position)
        return self._step(x, attend, turned, self.modulations)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend to the tokens in the cache and to the new ones, which are added: `Attend`."""
        return causal_attention(q, *self.append(layer, k, v), dropout=0.0)

    def _attend_to_all(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend_freely(q, *self.append(layer, k, v))

    def keep_modulations(self, modulations: Tensor) -> None:
        """Keep by what the class of the first b rows changes the blocks, (layers, b, 4, W)."""
        assert self._modulations is not None
        self._modulations[:, : modulations.shape[1]].copy_(modulations.detach())

    def save(self) -> SavedDecoding:
        """Copy what is cached, so that `restore` can bring it back later."""
        kv, modulations = super().save(), self._modulations
        copied = None if modulations is None else modulations.clone()
        return SavedDecoding(kv.keys, kv.values, copied)

    def restore(self, saved: SavedKV) -> None:
        """Go back to what was saved, in place of all that is cached now."""
        super().restore(saved)
        if isinstance(saved, SavedDecoding) and saved.modulations is not None:
            assert self._modulations is not None
            self._modulations.copy_(saved.modulations)

    def spread(self, rows: Tensor) -> None:
        """Let row i hold what row rows[i] holds, rows being (R,) int64 in [0, R)."""
        super().spread(rows)
        if self._modulations is not None:
            self._modulations.copy_(self._modulations.index_select(1, rows))

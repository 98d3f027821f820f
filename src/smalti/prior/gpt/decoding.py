"""Fast decoding, one token at a time, by the network of `Block` with weights prepared beforehand.

When a single token is read, time is that of reading every weight once (see `products`), and the
overhead of Python and of small operations. Tests check that the numbers are those of the modules.

Axes: R rows (one token each), W width, H heads, C channels of one head, L sequence length,
V vocabulary size.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smalti.prior.gpt.block import Block
from smalti.prior.gpt.static_step import Attend, StaticStep, is_worth_it
from smalti.prior.kv_cache import KVCache
from smalti.prior.products import prepare


def prepare_norm(norm: nn.LayerNorm) -> Callable[[Tensor], Tensor]:
    """A layer normalisation without the module around it."""
    shape, weight, bias, eps = norm.normalized_shape, norm.weight, norm.bias, norm.eps
    return lambda x: torch.layer_norm(x, shape, weight, bias, eps)


class BlockStep:
    """A block's pass over one new token of each row.

    Args:
        layer: number of the block.
        block: block whose weights to use.
        rows: R.
        dtype: number format of the computation.
    """

    def __init__(self, layer: int, block: Block, rows: int, dtype: torch.dtype) -> None:
        attention, mlp = block.attention, block.mlp
        self.layer = layer
        self.heads_shape = (rows, 3, attention.heads, 1, -1)
        self.attention_norm = prepare_norm(block.attention_norm)
        self.qkv = prepare(attention.qkv, rows, dtype)
        self.projection = prepare(attention.projection, rows, dtype)
        self.mlp_norm = prepare_norm(block.mlp_norm)
        self.expand = prepare(mlp.expand, rows, dtype)
        self.contract = prepare(mlp.contract, rows, dtype)

    def __call__(self, x: Tensor, attend: Attend) -> Tensor:
        """(R, W) -> (R, W); the attention adds the tokens' keys and values to the cache."""
        q, k, v = self.qkv(self.attention_norm(x)).view(self.heads_shape).unbind(1)
        x = x + self.projection(attend(self.layer, q, k, v).reshape(x.shape))
        return x + self.contract(F.gelu(self.expand(self.mlp_norm(x))))


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
        norm: nn.LayerNorm,
        head: nn.Linear,
        rows: int,
        dtype: torch.dtype,
    ) -> None:
        self.blocks = [BlockStep(*numbered, rows, dtype) for numbered in enumerate(blocks)]
        self.norm = prepare_norm(norm)
        self.head = prepare(head, rows, dtype)

    def __call__(self, x: Tensor, attend: Attend) -> Tensor:
        """Logits (R, V) of embedded tokens (R, W)."""
        for block in self.blocks:
            x = block(x, attend)
        return self.head(self.norm(x))


class DecodingCache(KVCache):
    """A KV cache, and the step that fills it token by token.

    Args:
        blocks: the transformer's blocks.
        norm: the normalisation after them.
        head: the linear layer that gives the logits.
        shape: (R, H, L, C), L being the longest sequence that fits.
        dtype: number format of the computation and of the cache.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        norm: nn.LayerNorm,
        head: nn.Linear,
        shape: tuple[int, int, int, int],
        dtype: torch.dtype,
    ) -> None:
        device = head.weight.device
        super().__init__(len(blocks), shape, dtype, device)
        self._step = TokenStep(blocks, norm, head, shape[0], dtype)
        self._static = StaticStep(self, self._step) if is_worth_it(device) else None

    @torch.no_grad()
    def step(self, x: Tensor) -> Tensor:
        """Logits (R, V) of embedded tokens (R, W), each the next of its row."""
        if self._static is None:
            logits = self._step(x, self._attend)
        else:
            logits = self._static(x, self.length)
        self.advance(1)
        return logits

    def _attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend to the tokens in the cache and to the new ones, which are added: `Attend`."""
        return F.scaled_dot_product_attention(q, *self.append(layer, k, v))

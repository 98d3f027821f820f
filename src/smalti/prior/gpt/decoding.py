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
from smalti.prior.kv_cache import KVCache
from smalti.prior.products import prepare


def prepare_norm(norm: nn.LayerNorm) -> Callable[[Tensor], Tensor]:
    """A layer normalisation without the module around it."""
    shape, weight, bias, eps = norm.normalized_shape, norm.weight, norm.bias, norm.eps
    return lambda x: torch.layer_norm(x, shape, weight, bias, eps)


class BlockStep:
    """A block's pass over one new token of each row.

    Args:
        block: block whose weights to use.
        keys: (R, H, L, C), keys of the block in the cache.
        values: (R, H, L, C), values of the block in the cache.
    """

    def __init__(self, block: Block, keys: Tensor, values: Tensor) -> None:
        rows, dtype = keys.shape[0], keys.dtype
        self.keys, self.values = keys, values
        self.heads_shape = (rows, 3, keys.shape[1], 1, keys.shape[3])
        self.attention_norm = prepare_norm(block.attention_norm)
        self.qkv = prepare(block.attention.qkv, rows, dtype)
        self.projection = prepare(block.attention.projection, rows, dtype)
        self.mlp_norm = prepare_norm(block.mlp_norm)
        self.expand = prepare(block.mlp.expand, rows, dtype)
        self.contract = prepare(block.mlp.contract, rows, dtype)

    def __call__(self, x: Tensor, position: int) -> Tensor:
        """(R, W) -> (R, W); it also writes the tokens' keys and values into the cache."""
        q, k, v = self.qkv(self.attention_norm(x)).view(self.heads_shape).unbind(1)
        self.keys.narrow(2, position, 1).copy_(k)
        self.values.narrow(2, position, 1).copy_(v)
        keys = self.keys.narrow(2, 0, position + 1)
        values = self.values.narrow(2, 0, position + 1)
        attended = F.scaled_dot_product_attention(q, keys, values)  # (R, H, 1, C)
        x = x + self.projection(attended.reshape(x.shape))
        return x + self.contract(F.gelu(self.expand(self.mlp_norm(x))))


class DecodingCache(KVCache):
    """A KV cache with the blocks that fill it token by token.

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
        super().__init__(len(blocks), shape, dtype, head.weight.device)
        layers = zip(blocks, self.keys, self.values, strict=True)
        self._blocks = [BlockStep(block, keys, values) for block, keys, values in layers]
        self._norm = prepare_norm(norm)
        self._head = prepare(head, shape[0], dtype)

    @torch.no_grad()
    def step(self, x: Tensor) -> Tensor:
        """Logits (R, V) of embedded tokens (R, W), each the next of its row."""
        for block in self._blocks:
            x = block(x, self.length)
        self.advance(1)
        return self._head(self._norm(x))

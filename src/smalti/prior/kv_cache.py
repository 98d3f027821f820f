"""KV cache: keys and values of the tokens read so far, so that each is computed once.

Axes: B batch, H heads, L sequence length, C channels of one head.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


def dtype_in_use(weight: Tensor) -> torch.dtype:
    """The number format in which a network with this weight computes now, autocast or not."""
    kind = weight.device.type
    is_autocast = torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if is_autocast else weight.dtype


@dataclass(frozen=True, slots=True)
class SavedKV:
    """Keys and values of the tokens that a cache had read, copied."""

    keys: Tensor
    """(layers, B, H, L, C)."""
    values: Tensor
    """(layers, B, H, L, C)."""


class KVCache:
    """Room for the keys and values of a whole sequence, filled from the left.

    It serves generation: no gradient passes through it.

    Args:
        layers: number of attention layers.
        shape: (B, H, L, C), L being the longest sequence that fits.
        dtype: number format of keys and values.
        device: device of keys and values.
    """

    reads_together = True
    """Whether several tokens after the cached ones are computed together."""

    def __init__(
        self,
        layers: int,
        shape: tuple[int, int, int, int],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        # Zeros, as a product with what was never written must be a number (`StaticStep`).
        self.keys = torch.zeros(layers, *shape, dtype=dtype, device=device)
        self.values = torch.zeros_like(self.keys)
        self.length = 0
        # One view per layer, made once: indexing again for each token would take longer than
        # some of the arithmetic.
        self._layers = list(zip(self.keys.unbind(), self.values.unbind(), strict=True))

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write a layer's keys and values (b, H, l, C) of the newest tokens behind the older ones.

        `length` does not change: it counts a token once all layers have seen it (`advance`). With
        fewer rows b than B, the first b rows of the cache are used, until `spread`.

        Returns:
            Keys and values (b, H, length + l, C) of all tokens so far, views of the cache.
        """
        rows, new = keys.shape[0], keys.shape[2]
        all_keys, all_values = (cached.narrow(0, 0, rows) for cached in self._layers[layer])
        all_keys.narrow(2, self.length, new).copy_(keys.detach())
        all_values.narrow(2, self.length, new).copy_(values.detach())
        end = self.length + new
        return all_keys.narrow(2, 0, end), all_values.narrow(2, 0, end)

    def advance(self, tokens: int) -> None:
        """Count `tokens` more tokens as read."""
        self.length += tokens

    def reset(self) -> None:
        """Forget all tokens: the next ones are the first of a new sequence."""
        self.length = 0

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens, at most as many as it holds."""
        assert 0 <= length <= self.length, f"{length} of {self.length} tokens"
        self.length = length

    def spread(self, rows: Tensor) -> None:
        """Let row i hold what row rows[i] holds, rows being (B,) int64 in [0, B)."""
        for cached in (self.keys, self.values):
            read = cached.narrow(3, 0, self.length)
            read.copy_(read.index_select(1, rows))

    def save(self) -> SavedKV:
        """Copy what is cached, so that `restore` can bring it back later."""
        end = self.length
        return SavedKV(self.keys[..., :end, :].clone(), self.values[..., :end, :].clone())

    def restore(self, saved: SavedKV) -> None:
        """Go back to what was saved, in place of all that is cached now."""
        self.length = saved.keys.shape[-2]
        self.keys[..., : self.length, :].copy_(saved.keys)
        self.values[..., : self.length, :].copy_(saved.values)

    @property
    def nbytes(self) -> int:
        """Size of the cache in bytes, which what `save` copies does not exceed."""
        return self.keys.nbytes + self.values.nbytes

"""How much of the codebook a tokenizer uses.

Axes: B batch, h/w latent grid, K codebook size.
"""

import math

import torch
from torch import Tensor


class CodebookUse:
    """Counts each code over any number of batches."""

    def __init__(self, codebook_size: int) -> None:
        self.counts = torch.zeros(codebook_size, dtype=torch.int64)  # (K,)

    def add(self, codes: Tensor) -> None:
        """Count codes (B, h, w) int64 in [0, K), on any device; the counts move to that device."""
        flat = codes.flatten()
        self.counts = self.counts.to(flat.device).index_add(0, flat, torch.ones_like(flat))

    @property
    def usage(self) -> float:
        """Share of the codes that occurred, in [0, 1]."""
        return int((self.counts > 0).sum()) / len(self.counts)

    @property
    def dead(self) -> int:
        """Number of codes that never occurred."""
        return int((self.counts == 0).sum())

    @property
    def perplexity(self) -> float:
        """Number of equally likely codes with the same entropy, in [1, K].

        Unlike `usage` it depends on how often each code occurs.
        """
        assert self.counts.any(), "no codes were added"
        counts = self.counts.cpu()  # some devices have no float64
        shares = counts.double() / counts.sum()
        return math.exp(torch.special.entr(shares).sum().item())

"""Vector quantization: nearest neighbour in a codebook learned by gradient.

Axes: B batch, D code dimension, h/w latent grid, K codebook size.
Reference: arXiv:2012.09841, Sec. 3.1, Eqs. 2 and 4.
"""

import torch
from torch import Tensor, nn

from smalti.tokenizer.quantizers.base import QUANTIZERS
from smalti.tokenizer.quantizers.config import VectorQuantizerConfig
from smalti.tokenizer.quantizers.lookup import LearnedLookup, rows_for_restart, to_rows


@QUANTIZERS.register("vector")
class VectorQuantizer(LearnedLookup):
    """Nearest-neighbour lookup in a learned codebook."""

    def __init__(self, config: VectorQuantizerConfig, codebook_size: int, code_dim: int) -> None:
        super().__init__(config, code_dim)
        self.codebook = nn.Embedding(codebook_size, self.lookup_dim)
        if config.l2_normalised:
            nn.init.normal_(self.codebook.weight)  # directions spread over the whole sphere
        else:
            nn.init.uniform_(self.codebook.weight, -1 / codebook_size, 1 / codebook_size)

    def all_entries(self) -> Tensor:
        """The codebook (K, d)."""
        return self.codebook.weight

    @torch.no_grad()
    def restart(self, unused: Tensor, z: Tensor) -> int:
        """Move unused entries (K,) bool onto vectors of z (B, D, h, w); returns how many."""
        numbers, rows = rows_for_restart(unused, to_rows(self.lookup_vectors(z)))
        self.codebook.weight[numbers] = rows.to(self.codebook.weight.dtype)
        return len(numbers)

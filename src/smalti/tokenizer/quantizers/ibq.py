"""Index backpropagation: the gradient reaches every entry through the choice itself.

Axes: B batch, D code dimension, d lookup dimension, h/w latent grid, K codebook size,
N = B * h * w vectors.
Reference: Shi et al. 2024, "Scalable Image Tokenization with Index Backpropagation Quantization",
    arXiv:2412.02692, Sec. 3.2.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smalti.tokenizer.quantizers.base import QUANTIZERS, Quantized, Quantizer
from smalti.tokenizer.quantizers.config import IBQConfig
from smalti.tokenizer.quantizers.lookup import (
    check_shape,
    projections,
    rows_for_restart,
    to_grid,
    to_rows,
)
from smalti.tokenizer.quantizers.soft import Entropies, entropies, entropy_loss, over_chunks


class _Choice(NamedTuple):
    """Codes chosen for some vectors."""

    codes: Tensor  # (n,)
    expected: Tensor  # (n, d), mean entry under the soft choice; its gradient reaches the choice
    entropies: Entropies


@QUANTIZERS.register("ibq")
class IBQ(Quantizer):
    """The entry with the largest inner product, with a straight-through gradient on the one-hot.

    Deviation: the entropies are those of the soft choice itself, at temperature 1; the source
        sharpens them. The lookup may be low-dimensional.
    """

    def __init__(self, config: IBQConfig, codebook_size: int, code_dim: int) -> None:
        super().__init__()
        self.config = config
        self.code_dim = code_dim
        lookup_dim = config.lookup_dim or code_dim
        self.project_in, self.project_out = projections(code_dim, config.lookup_dim)
        self.codebook = nn.Embedding(codebook_size, lookup_dim)
        # Even lengths: the inner product prefers the long.
        nn.init.normal_(self.codebook.weight)
        with torch.no_grad():
            self.codebook.weight.copy_(F.normalize(self.codebook.weight, dim=1) * lookup_dim**0.5)

    def forward(self, z: Tensor) -> Quantized:
        """Quantize an encoder output z (B, D, h, w).

        The codebook loss includes the second of the two quantization losses, between z and the
        latent with its gradient, which moves the encoder too.
        """
        vectors = self._lookup_vectors(z)
        chunks = over_chunks(self._choose, vectors, self.codebook.num_embeddings)
        codes = torch.cat([chunk.codes for chunk in chunks])
        expected = torch.cat([chunk.expected for chunk in chunks])
        entries = self._pick(codes)
        # The value is the entry; the gradient is that of one-hot times codebook, where the one-hot
        # passes it on to the softmax.
        indexed = entries + (expected - expected.detach())
        codebook_loss = F.mse_loss(indexed, vectors) + F.mse_loss(entries, vectors.detach())
        commitment_loss = F.mse_loss(vectors, entries.detach())
        grid = codes.view(len(z), *z.shape[2:])
        z_q = self.project_out(to_grid(indexed, grid)).to(z.dtype)
        loss = entropy_loss([chunk.entropies for chunk in chunks], len(vectors), self.config)
        return Quantized(z_q, grid, codebook_loss, commitment_loss, loss)

    @torch.no_grad()
    def encode(self, z: Tensor) -> Tensor:
        """Codes (B, h, w) int64 of the entries with the largest inner product."""
        vectors = self._lookup_vectors(z)
        size = self.codebook.num_embeddings
        codes = over_chunks(lambda chunk: self._logits(chunk).argmax(1), vectors, size)
        return torch.cat(codes).view(len(z), *z.shape[2:])

    def embed(self, codes: Tensor) -> Tensor:
        """Quantized latent (B, D, h, w) of codes (B, h, w) int64, in the type of the codebook."""
        latent = self.project_out(to_grid(self._pick(codes.flatten()), codes))
        return latent.to(self.codebook.weight.dtype)

    @torch.no_grad()
    def restart(self, unused: Tensor, z: Tensor) -> int:
        """Move unused entries (K,) bool onto vectors of z (B, D, h, w); returns how many."""
        numbers, rows = rows_for_restart(unused, self._lookup_vectors(z))
        self.codebook.weight[numbers] = rows.to(self.codebook.weight.dtype)
        return len(numbers)

    def _lookup_vectors(self, z: Tensor) -> Tensor:
        """Vectors (N, d) float32 of z (B, D, h, w), which are compared with the codebook."""
        check_shape(z, self.code_dim)
        return to_rows(self.project_in(z.float()))

    def _choose(self, vectors: Tensor) -> _Choice:
        logits = self._logits(vectors)
        expected = logits.softmax(1) @ self.codebook.weight.float().detach()
        return _Choice(logits.argmax(1), expected, entropies(logits))

    def _logits(self, vectors: Tensor) -> Tensor:
        return vectors @ self.codebook.weight.float().T

    def _pick(self, codes: Tensor) -> Tensor:
        return F.embedding(codes, self.codebook.weight.float())

"""Vector quantization: nearest neighbour in a learned codebook.

Axes: B batch, D code dimension, d lookup dimension, h/w latent grid, K codebook size,
N = B * h * w vectors.
Reference: arXiv:2012.09841, Sec. 3.1, Eqs. 2 and 4; the low-dimensional, l2-normalised lookup is
    Yu et al. 2022, "Vector-quantized Image Modeling with Improved VQGAN", arXiv:2110.04627,
    Sec. 3.2.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from smalti.tokenizer.quantizers.base import QUANTIZERS, Quantized, Quantizer
from smalti.types import Config

CHUNK_ELEMENTS = 2**24  # distances held at a time: 64 MiB in float32


class VectorQuantizerConfig(Config):
    """Config of `VectorQuantizer`."""

    kind: Literal["vector"] = "vector"
    lookup_dim: int | None = Field(default=None, ge=1)
    """Dimension in which codes are compared, through learned projections; null compares in all
    code_dim dimensions, as the paper does. Small (8 to 32) keeps more codes in use."""
    l2_normalised: bool = False
    """Compare directions instead of points: vectors and codes are scaled to length one."""


@QUANTIZERS.register("vector")
class VectorQuantizer(Quantizer):
    """Nearest-neighbour lookup in a learned codebook, with a straight-through gradient.

    Args:
        config: the kind's options.
        codebook_size: K.
        code_dim: D, channels of the encoder output.
    """

    def __init__(self, config: VectorQuantizerConfig, codebook_size: int, code_dim: int) -> None:
        super().__init__()
        self.config = config
        self.code_dim = code_dim
        lookup_dim = config.lookup_dim or code_dim
        projected = config.lookup_dim is not None
        self.project_in = nn.Conv2d(code_dim, lookup_dim, 1) if projected else nn.Identity()
        self.project_out = nn.Conv2d(lookup_dim, code_dim, 1) if projected else nn.Identity()
        self.codebook = nn.Embedding(codebook_size, lookup_dim)
        if config.l2_normalised:
            nn.init.normal_(self.codebook.weight)  # directions spread over the whole sphere
        else:
            nn.init.uniform_(self.codebook.weight, -1 / codebook_size, 1 / codebook_size)

    def forward(self, z: Tensor) -> Quantized:
        """Quantize an encoder output.

        Args:
            z: (B, D, h, w) floating point, unbounded.

        Returns:
            The latent in the dtype of z; both losses are means in float32 over the lookup space.

        Raises:
            ValueError: z is not 4-dimensional or its channels are not D.
        """
        vectors = self._lookup_vectors(z)
        codes = self._nearest(vectors)
        entries = self._entries(codes)
        # Losses first: after the straight-through line the entries would carry the gradient of z.
        codebook_loss = F.mse_loss(entries, vectors.detach())
        commitment_loss = F.mse_loss(vectors, entries.detach())
        straight_through = vectors + (entries - vectors).detach()
        z_q = self.project_out(straight_through).to(z.dtype)
        none = codebook_loss.new_zeros(())
        return Quantized(z_q, codes, codebook_loss, commitment_loss, none)

    @torch.no_grad()
    def encode(self, z: Tensor) -> Tensor:
        """Codes (B, h, w) int64 of the nearest entries; the lowest code wins a tie."""
        return self._nearest(self._lookup_vectors(z))

    def embed(self, codes: Tensor) -> Tensor:
        """Quantized latent (B, D, h, w) of codes (B, h, w) int64 in [0, K)."""
        return self.project_out(self._entries(codes))  # type: ignore[no-any-return]

    def _lookup_vectors(self, z: Tensor) -> Tensor:
        """What is compared with the codebook: (B, d, h, w) float32, whatever autocast says.

        Codes must not depend on mixed precision: a bf16 distance flips near-ties.
        """
        if z.ndim != 4 or z.shape[1] != self.code_dim:
            raise ValueError(f"z must be (B, {self.code_dim}, h, w), got {tuple(z.shape)}")
        with torch.autocast(z.device.type, enabled=False):
            return self._normalise(self.project_in(z.float()), dim=1)

    def _entries(self, codes: Tensor) -> Tensor:
        """Codebook rows (B, d, h, w) of codes (B, h, w)."""
        return self._normalise(self.codebook(codes).permute(0, 3, 1, 2), dim=1)

    @torch.no_grad()
    def _nearest(self, vectors: Tensor) -> Tensor:
        batch, _, height, width = vectors.shape
        rows = vectors.permute(0, 2, 3, 1).flatten(0, 2)
        entries = self._normalise(self.codebook.weight.float(), dim=1)
        with torch.autocast(vectors.device.type, enabled=False):
            return nearest_entries(rows, entries).view(batch, height, width)

    def _normalise(self, vectors: Tensor, dim: int) -> Tensor:
        return F.normalize(vectors, dim=dim) if self.config.l2_normalised else vectors


def nearest_entries(vectors: Tensor, entries: Tensor) -> Tensor:
    """Index (N,) int64 of the entry nearest to each vector; the lowest index wins a tie.

    Memory does not grow with N * K: the distances are made for some rows at a time.

    Args:
        vectors: (N, d) float32.
        entries: (K, d) float32.
    """
    # |v - e|^2 less |v|^2, which is the same for every entry.
    offsets = entries.square().sum(1)
    rows = max(1, CHUNK_ELEMENTS // len(entries))
    chunks = [
        torch.addmm(offsets, chunk, entries.T, alpha=-2).argmin(1)
        for chunk in torch.split(vectors, rows)
    ]
    return torch.cat(chunks)

"""Projections, nearest entries and their gradients, for the quantizers that compare vectors.

Axes: B batch, D code dimension, d lookup dimension, h/w latent grid, K codebook size,
N = B * h * w vectors.
"""

import abc
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smalti.tokenizer.nearest import nearest_entries
from smalti.tokenizer.quantizers.base import Quantized, Quantizer
from smalti.tokenizer.quantizers.config import LookupOptions


class Projection(nn.Conv2d):
    """1x1 convolution that computes in float32, whatever autocast or the type of its weights says.

    Codes must not depend on mixed precision: a bfloat16 projection flips near-ties.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, grid: Tensor) -> Tensor:
        """(B, in_channels, h, w) floating point -> (B, out_channels, h, w) float32."""
        assert self.bias is not None
        with torch.autocast(grid.device.type, enabled=False):
            return F.conv2d(grid.float(), self.weight.float(), self.bias.float())


def projections(code_dim: int, lookup_dim: int | None) -> tuple[nn.Module, nn.Module]:
    """Layers from D dimensions to those of the lookup and back; identities if that is None."""
    if lookup_dim is None:
        return nn.Identity(), nn.Identity()
    return Projection(code_dim, lookup_dim), Projection(lookup_dim, code_dim)


def to_rows(grid: Tensor) -> Tensor:
    """Flatten a grid (B, d, h, w) to rows (N, d), image by image and row by row."""
    return grid.permute(0, 2, 3, 1).flatten(0, 2)


def to_grid(rows: Tensor, codes: Tensor) -> Tensor:
    """Shape rows (N, d) to (B, d, h, w), the inverse of `to_rows` for a grid of codes (B, h, w)."""
    return rows.view(*codes.shape, -1).permute(0, 3, 1, 2)


def check_shape(z: Tensor, code_dim: int) -> None:
    """Refuse an encoder output that is not (B, D, h, w).

    Raises:
        ValueError: z has another shape.
    """
    if z.ndim != 4 or z.shape[1] != code_dim:
        raise ValueError(f"z must be (B, {code_dim}, h, w), got {tuple(z.shape)}")


class Match(NamedTuple):
    """Vectors of the lookup space and their nearest entries."""

    vectors: Tensor
    """(B, d, h, w) float32, with the encoder's gradient."""
    codes: Tensor
    """(B, h, w) int64 in [0, K)."""
    entries: Tensor
    """(B, d, h, w) float32, with the codebook's gradient."""


class LookupQuantizer(Quantizer, abc.ABC):
    """Replaces each vector by the nearest of K entries; the kinds differ in how entries learn.

    Args:
        options: options of the lookup.
        code_dim: D, channels of the encoder output.

    Reference: arXiv:2012.09841, Sec. 3.1, Eq. 2; the low-dimensional, l2-normalised lookup is
        Yu et al. 2022, arXiv:2110.04627, Sec. 3.2; the rotation trick is Fifty et al. 2024,
        arXiv:2410.06424, Sec. 4.
    """

    def __init__(self, options: LookupOptions, code_dim: int) -> None:
        super().__init__()
        self.options = options
        self.code_dim = code_dim
        self.lookup_dim = options.lookup_dim or code_dim
        self.project_in, self.project_out = projections(code_dim, options.lookup_dim)

    @abc.abstractmethod
    def all_entries(self) -> Tensor:
        """The codebook (K, d), with its gradient, before any scaling to length one."""

    @torch.no_grad()
    def encode(self, z: Tensor) -> Tensor:
        """Codes (B, h, w) int64 of the nearest entries; the lowest code wins a tie."""
        return self._nearest(self.lookup_vectors(z), self.scaled_entries(z.device))

    def embed(self, codes: Tensor) -> Tensor:
        """Quantized latent (B, D, h, w) of codes (B, h, w) int64, in the type of the codebook."""
        with torch.autocast(codes.device.type, enabled=False):
            entries = self.all_entries()
            latent = self.project_out(_pick(self._scale(entries.float()), codes))
        return latent.to(entries.dtype)

    def match(self, z: Tensor) -> Match:
        """The nearest entry of each vector of an encoder output z (B, D, h, w)."""
        vectors = self.lookup_vectors(z)
        entries = self.scaled_entries(z.device)
        codes = self._nearest(vectors, entries)
        return Match(vectors, codes, _pick(entries, codes))

    def latent(self, match: Match, dtype: torch.dtype) -> Tensor:
        """Quantized latent (B, D, h, w) with the gradient passed on to the encoder."""
        passed = GRADIENTS[self.options.gradient](match.vectors, match.entries.detach())
        return self.project_out(passed).to(dtype)

    def lookup_vectors(self, z: Tensor) -> Tensor:
        """Vectors (B, d, h, w) that are compared with the codebook, float32 also under autocast."""
        check_shape(z, self.code_dim)
        return self._scale(self.project_in(z.float()))

    def scaled_entries(self, device: torch.device) -> Tensor:
        """The entries (K, d) float32 that vectors are compared with; `device` is theirs."""
        with torch.autocast(device.type, enabled=False):
            return self._scale(self.all_entries().float())

    @torch.no_grad()
    def _nearest(self, vectors: Tensor, entries: Tensor) -> Tensor:
        batch, _, height, width = vectors.shape
        return nearest_entries(to_rows(vectors), entries).view(batch, height, width)

    def _scale(self, vectors: Tensor) -> Tensor:
        """Vectors (B, d, h, w) or entries (K, d) at the length at which they are compared."""
        return F.normalize(vectors, dim=1) if self.options.l2_normalised else vectors


class LearnedLookup(LookupQuantizer, abc.ABC):
    """A lookup whose entries learn by gradient: the codebook loss moves them to their vectors."""

    def forward(self, z: Tensor) -> Quantized:
        """Quantize an encoder output (B, D, h, w); losses are float32 means in the lookup space."""
        match = self.match(z)
        codebook_loss = F.mse_loss(match.entries, match.vectors.detach())
        commitment_loss = F.mse_loss(match.vectors, match.entries.detach())
        none = codebook_loss.new_zeros(())
        z_q = self.latent(match, z.dtype)
        return Quantized(z_q, match.codes, codebook_loss, commitment_loss, none)


def _pick(entries: Tensor, codes: Tensor) -> Tensor:
    """Entries (B, d, h, w) of codes (B, h, w) from a codebook (K, d)."""
    return to_grid(F.embedding(codes.flatten(), entries), codes)


def straight_through(vectors: Tensor, entries: Tensor) -> Tensor:
    """The entries (B, d, h, w), whose gradient passes to the vectors unchanged."""
    # In this order the value is exactly the entry, as the decoder sees it from `embed`.
    return entries + (vectors - vectors.detach())


def rotated(vectors: Tensor, entries: Tensor) -> Tensor:
    """The entries (B, d, h, w), as a fixed rotation and scaling of the vectors.

    The gradient keeps its angle to the entry on the way to the vector.

    Reference: arXiv:2410.06424, Sec. 4.2, Eq. 4: lambda * (I - 2 r r^T + 2 q e^T) applied to the
        vector, with e and q the directions of vector and entry and r that of their sum.
    """
    fixed = vectors.detach()
    from_direction = F.normalize(fixed, dim=1)
    to_direction = F.normalize(entries, dim=1)
    between = F.normalize(from_direction + to_direction, dim=1)
    length = fixed.norm(dim=1, keepdim=True)
    stretch = entries.norm(dim=1, keepdim=True) / length.clamp(min=1e-6)
    turned = (
        vectors
        - 2 * between * (between * vectors).sum(1, keepdim=True)
        + 2 * to_direction * (from_direction * vectors).sum(1, keepdim=True)
    )
    return straight_through(stretch * turned, entries)


GRADIENTS = {"straight_through": straight_through, "rotation": rotated}


def rows_for_restart(unused: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Draw different vectors at random for the unused entries, the same on every process.

    Args:
        unused: (K,) bool.
        vectors: (N, d); with fewer vectors than unused entries, the first entries move.

    Returns:
        Entry numbers (M,) int64 and their new vectors (M, d).
    """
    (numbers,) = unused.nonzero(as_tuple=True)
    order = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(0))
    order = order[: len(numbers)].to(vectors.device)
    return numbers[: len(order)], vectors[order]

"""Vector quantization whose codebook follows the data by moving averages.

Axes: B batch, D code dimension, d lookup dimension, h/w latent grid, K codebook size,
N = B * h * w vectors.
Reference: van den Oord et al. 2017, "Neural Discrete Representation Learning", arXiv:1711.00937,
    App. A.1; Razavi et al. 2019, arXiv:1906.00446, Sec. 2.1. The restart of unused codes is
    Dhariwal et al. 2020, "Jukebox", arXiv:2005.00341, Sec. 3.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from smalti.distributed import rank, sum_over_processes, world_size
from smalti.tokenizer.kmeans import kmeans
from smalti.tokenizer.quantizers.base import QUANTIZERS, Quantized
from smalti.tokenizer.quantizers.config import EMAQuantizerConfig
from smalti.tokenizer.quantizers.lookup import LookupQuantizer, rows_for_restart, to_rows

KMEANS_ITERATIONS = 10
SMALLEST_COUNT = 1e-8  # an entry that nothing comes near keeps its place


class _Seen(NamedTuple):
    """Vectors and codes of one forward pass."""

    vectors: Tensor  # (N, d)
    codes: Tensor  # (N,)


@QUANTIZERS.register("ema")
class EMAQuantizer(LookupQuantizer):
    """Nearest-neighbour lookup; each entry is the moving average of the vectors that took it.

    Deviation: counts are not smoothed (Laplace) towards even use; entries of little use restart.
    """

    codebook: Tensor
    counts: Tensor
    sums: Tensor
    steps: Tensor
    started: Tensor

    def __init__(self, config: EMAQuantizerConfig, codebook_size: int, code_dim: int) -> None:
        super().__init__(config, code_dim)
        self.config = config
        entries = torch.randn(codebook_size, self.lookup_dim)
        self.register_buffer("codebook", entries)
        # Not used yet: an entry's first vectors, or its first restart, put it where the data is.
        self.register_buffer("counts", torch.zeros(codebook_size))
        self.register_buffer("sums", torch.zeros_like(entries))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("started", torch.tensor(config.kmeans_start is False))
        self._seen: list[_Seen] = []

    def forward(self, z: Tensor) -> Quantized:
        """Quantize an encoder output (B, D, h, w); in training, remember it for `finish_step`.

        The codebook loss is 0: no gradient moves the codebook.
        """
        match = self.match(z)
        if self.training and torch.is_grad_enabled():
            rows = to_rows(match.vectors.detach())
            self._seen.append(_Seen(rows, match.codes.flatten()))
        commitment_loss = F.mse_loss(match.vectors, match.entries)
        none = commitment_loss.new_zeros(())
        z_q = self.latent(match, z.dtype)
        return Quantized(z_q, match.codes, none, commitment_loss, none)

    def all_entries(self) -> Tensor:
        """The codebook (K, d)."""
        return self.codebook

    @property
    def waits_for_start(self) -> bool:
        """Whether the entries must still be placed by `start`."""
        return not bool(self.started)

    @torch.no_grad()
    def start(self, z: Tensor) -> None:
        """Make the entries the k-means centres of the first batch, where it has enough vectors.

        Args:
            z: encoder output (B, D, h, w) of the whole first batch, of all processes.

        Raises:
            InputError: `kmeans_start` is true and K is more than the vectors of z.
        """
        vectors = to_rows(self.lookup_vectors(z))
        size = len(self.codebook)
        self.config.check_first_batch(size, len(vectors))
        if size <= len(vectors):
            # In process 0 for all: a graphics card does not sum in the same order each time.
            centres = torch.zeros_like(vectors[:size])
            if rank() == 0:
                generator = torch.Generator().manual_seed(0)
                centres = kmeans(vectors, size, KMEANS_ITERATIONS, generator)
            self._place(slice(None), sum_over_processes(centres))
        self.started.fill_(True)

    @torch.no_grad()
    def finish_step(self) -> None:
        """Move the averages by what all processes saw, and restart entries out of use.

        Reference: arXiv:1711.00937, App. A.1, Eqs. 6 to 8.
        """
        if not self._seen:
            return
        # One process alone may have divided its batch unevenly; its rows are in order anyway.
        chunks = len(self._seen) if world_size() > 1 else 1
        seen = _Seen(*(torch.cat(column) for column in zip(*self._seen, strict=True)))
        self._seen.clear()
        size = len(self.codebook)
        counts = sum_over_processes(torch.bincount(seen.codes, minlength=size).float())
        sums = seen.vectors.new_zeros(size, self.lookup_dim)
        sums = sum_over_processes(sums.index_add_(0, seen.codes, seen.vectors))
        # Counted in shares of even use, which is 1 whatever the batch and the codebook.
        even = counts.sum() / size
        self.counts.lerp_(counts / even, 1 - self.config.decay)
        self.sums.lerp_((sums / even).to(self.sums.dtype), 1 - self.config.decay)
        used = self.counts > SMALLEST_COUNT
        means = self.sums / self.counts.clamp(min=SMALLEST_COUNT)[:, None]
        self.codebook.copy_(torch.where(used[:, None], means, self.codebook))
        self._restart_unused(seen.vectors, chunks)
        self.steps += 1

    @torch.no_grad()
    def restart(self, unused: Tensor, z: Tensor) -> int:
        """Move unused entries (K,) bool onto vectors of z (B, D, h, w); returns how many."""
        numbers, rows = rows_for_restart(unused, to_rows(self.lookup_vectors(z)))
        self._place(numbers, rows)
        return len(numbers)

    @torch.no_grad()
    def start_at(self, entries: Tensor) -> None:
        """Take entries (K, d) that were learned elsewhere, as if each had been in even use."""
        self._place(slice(None), entries.clone())
        self.started.fill_(True)

    def _restart_unused(self, vectors: Tensor, chunks: int) -> None:
        """Move entries below the threshold onto vectors of the step, the same on every process.

        Args:
            vectors: (N, d), this process's share of the batch.
            chunks: number of chunks of the batch. The share has a piece of each, all of one size.
        """
        unused = self.counts < self.config.restart_below
        (numbers,) = unused.nonzero(as_tuple=True)
        # Drawn from the whole batch in its order, so that the number of processes changes nothing:
        # the pieces of its first chunk follow each other by rank, then those of the second.
        generator = torch.Generator().manual_seed(int(self.steps))
        drawn = torch.randperm(len(vectors) * world_size(), generator=generator)[: len(numbers)]
        size = len(vectors) // chunks
        piece, row = drawn.to(vectors.device) // size, drawn.to(vectors.device) % size
        is_here = piece % world_size() == rank()
        rows = vectors.new_zeros(len(drawn), self.lookup_dim)
        rows[is_here] = vectors[(piece // world_size() * size + row)[is_here]]
        self._place(numbers[: len(drawn)], sum_over_processes(rows))

    def _place(self, numbers: Tensor | slice, rows: Tensor) -> None:
        """Put entries at rows (M, d), as if each had been in even use."""
        self.codebook[numbers] = rows.to(self.codebook.dtype)
        self.counts[numbers] = 1
        self.sums[numbers] = rows.to(self.sums.dtype)

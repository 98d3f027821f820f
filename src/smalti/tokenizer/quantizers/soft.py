"""Soft choices among all K codes and their entropies, in fixed memory.

Axes: N vectors, d their dimension, K codebook size.
Reference: the entropy loss is Yu et al. 2023, "Language Model Beats Diffusion: Tokenizer is Key to
    Visual Generation", arXiv:2310.05737, Sec. 3.1; first in Jansen et al. 2020, arXiv:1911.05894.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from smalti.distributed import mean_over_processes
from smalti.tokenizer.quantizers.config import EntropyOptions

CHUNK_ELEMENTS = 2**22  # logits in memory at a time: 16 MiB in float32, some of it several times

T = TypeVar("T")


def over_chunks(function: Callable[[Tensor], T], vectors: Tensor, codebook_size: int) -> list[T]:
    """Call a function that needs (n, K) numbers for n vectors on one chunk of vectors at a time.

    Memory does not grow with N * K, not in training either: the backward pass computes each chunk
    again.

    Args:
        function: takes (n, d) float32.
        vectors: (N, d) float32.
        codebook_size: K.
    """
    rows = max(1, CHUNK_ELEMENTS // codebook_size)
    with torch.autocast(vectors.device.type, enabled=False):
        if not torch.is_grad_enabled():
            return [function(chunk) for chunk in torch.split(vectors, rows)]
        return [
            checkpoint(function, chunk, use_reentrant=False) for chunk in torch.split(vectors, rows)
        ]


class Entropies(NamedTuple):
    """Sums over a chunk of vectors, from which the entropies of all vectors follow."""

    sample_entropy: Tensor
    """Scalar, nats: sum of the entropies of the vectors' soft choices."""
    probabilities: Tensor
    """(K,) sum of the soft choices."""


def entropies(logits: Tensor) -> Entropies:
    """Entropies of the soft choices that logits (n, K) give."""
    log_probabilities = logits.log_softmax(1)
    probabilities = log_probabilities.exp()
    return Entropies(-(probabilities * log_probabilities).sum(), probabilities.sum(0))


def entropy_loss(chunks: list[Entropies], count: int, options: EntropyOptions) -> Tensor:
    """The weighted mean entropy of each choice less that of the mean choice, a scalar.

    The mean choice is that of all processes. With gradient accumulation each piece of the batch
    has its own mean choice.

    Args:
        chunks: entropies of all chunks of the vectors.
        count: N.
        options: the weights of the two terms.
    """
    sample = torch.stack([chunk.sample_entropy for chunk in chunks]).sum() / count
    mean = torch.stack([chunk.probabilities for chunk in chunks]).sum(0) / count
    # The value of all processes, the gradient of this one: their mean is the gradient of all.
    mean = mean + (mean_over_processes(mean) - mean).detach()
    batch = -(mean * mean.clamp(min=1e-12).log()).sum()
    return options.sample_entropy_weight * sample - options.batch_entropy_weight * batch

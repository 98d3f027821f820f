"""Choosing among all K codes at once, in fixed memory: soft choices and their entropies.

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

CHUNK_ELEMENTS = 2**22  # logits held at a time: 16 MiB in float32, some of it several times

T = TypeVar("T")


def over_chunks(function: Callable[[Tensor], T], vectors: Tensor, codebook_size: int) -> list[T]:
    """Results of a function that needs (n, K) numbers for n vectors, for all vectors in turn.

    Memory does not grow with N * K, in training either: what a chunk held is made again in the
    backward pass.

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
    """Sums over some vectors, from which the entropies of all follow."""

    sample_entropy: Tensor
    """Scalar, nats: sum of the entropies of the vectors' soft choices."""
    probabilities: Tensor
    """(K,) sum of the soft choices."""


def entropies(logits: Tensor) -> Entropies:
    """Entropies of the soft choices by logits (n, K)."""
    log_probabilities = logits.log_softmax(1)
    probabilities = log_probabilities.exp()
    return Entropies(-(probabilities * log_probabilities).sum(), probabilities.sum(0))


def entropy_loss(parts: list[Entropies], count: int, options: EntropyOptions) -> Tensor:
    """The weighted mean entropy of each choice less that of the mean choice, a scalar.

    The mean choice is that of all processes. Parts of an accumulated batch are not seen together:
    each has a mean choice of its own.

    Args:
        parts: of all chunks.
        count: N.
        options: the weights of the two terms.
    """
    sample = torch.stack([part.sample_entropy for part in parts]).sum() / count
    mean = torch.stack([part.probabilities for part in parts]).sum(0) / count
    # The value of all processes, the gradient of this one: their mean is the gradient of all.
    mean = mean + (mean_over_processes(mean) - mean).detach()
    batch = -(mean * mean.clamp(min=1e-12).log()).sum()
    return options.sample_entropy_weight * sample - options.batch_entropy_weight * batch

"""The nearest of K entries to each of many vectors, in fixed memory.

Axes: N vectors, d their dimension, K entries.
Reference: arXiv:2012.09841, Sec. 3.1, Eq. 2.
"""

import torch
from torch import Tensor

CHUNK_ELEMENTS = 2**24  # distances in memory at a time: 64 MiB in float32


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
    with torch.autocast(vectors.device.type, enabled=False):
        chunks = [
            torch.addmm(offsets, chunk, entries.T, alpha=-2).argmin(1)
            for chunk in torch.split(vectors, rows)
        ]
    return torch.cat(chunks)

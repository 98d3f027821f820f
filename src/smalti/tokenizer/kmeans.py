"""k-means: the centres that represent many vectors best.

Axes: N vectors, d their length, K clusters.
Reference: Lloyd 1982, "Least squares quantization in PCM", IEEE Transactions on Information Theory
    28(2), Sec. II; the two alternating conditions.
"""

import torch
from torch import Tensor

from smalti.tokenizer.nearest import nearest_entries


def kmeans(vectors: Tensor, clusters: int, iterations: int, generator: torch.Generator) -> Tensor:
    """Find the centres of `clusters` groups of vectors by Lloyd's iteration.

    It starts from distinct vectors drawn at random. A centre that is nearest to no vector moves to
    one of the vectors that are worst represented.

    Args:
        vectors: (N, d) float32.
        clusters: K, at most the number of distinct vectors, lest two centres be the same.
        iterations: how often vectors are assigned and averaged; ten to twenty are usual.
        generator: draws the first centres, on the CPU, so that they are the same on every device.

    Returns:
        (K, d) float32, on the device of the vectors. On the CPU they are the same each time.
    """
    assert len(vectors) >= clusters, f"{clusters} clusters of {len(vectors)} vectors"
    vectors = vectors.detach().float()
    centres = _distinct_start(vectors, clusters, generator)
    for _ in range(iterations):
        centres = _averaged(vectors, centres)
    return centres


def _distinct_start(vectors: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Draw vectors (K, d) at random; equal ones come last."""
    order = torch.randperm(len(vectors), generator=generator).to(vectors.device)
    _, group = torch.unique(vectors, dim=0, return_inverse=True)
    first = torch.full((int(group.max()) + 1,), len(vectors), device=vectors.device)
    places = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)).to(order))
    first.scatter_reduce_(0, group, places, "amin")
    is_first = torch.zeros(len(vectors), dtype=torch.bool, device=vectors.device)
    is_first[first] = True
    # Places in the drawn order: first of its kind before repetitions.
    drawn = torch.cat([order[is_first], order[~is_first]])
    return vectors[drawn[:clusters]].clone()


def _averaged(vectors: Tensor, centres: Tensor) -> Tensor:
    """Mean (K, d) of each centre's vectors; a centre without any moves to a badly fitted vector."""
    nearest = nearest_entries(vectors, centres)
    counts = torch.bincount(nearest, minlength=len(centres))
    sums = torch.zeros_like(centres).index_add_(0, nearest, vectors)
    means = sums / counts.clamp(min=1)[:, None]
    (empty,) = torch.nonzero(counts == 0, as_tuple=True)
    if len(empty):
        distances = (vectors - centres[nearest]).square().sum(1)
        means[empty] = vectors[distances.argsort(descending=True, stable=True)[: len(empty)]]
    return means

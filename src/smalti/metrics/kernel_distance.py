"""Kernel distance between two sets of images, by a network's features.

With Inception's features it is the "KID"; another network's distance must not be called so.

Axes: R real images, F generated images, C features of an image.
Reference: Binkowski et al. 2018, arXiv:1801.01401, Sec. 4 and Eq. 4 of its appendix.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from smalti.config import InputError
from smalti.randomness import generator_for

SUBSETS, SUBSET_IMAGES = 100, 1000


class KernelDistance(NamedTuple):
    """The distance of two sets, averaged over random subsets."""

    mean: float
    """Mean over the subsets; its expectation is 0 for sets of one distribution, so it may be
    below 0."""
    deviation: float
    """Standard deviation over the subsets."""
    subset_images: int
    """Number of real images in a subset, and of generated ones."""


def kernel_distance(
    real: Tensor,
    fake: Tensor,
    *,
    seed: int,
    subsets: int = SUBSETS,
    subset_images: int = SUBSET_IMAGES,
) -> KernelDistance:
    """Unbiased squared maximum mean discrepancy with the kernel (x . y / C + 1)^3.

    Unlike the Frechet distance, its expectation does not depend on the number of images.

    Args:
        real: features (R, C) floating point.
        fake: features (F, C) floating point.
        seed: seed of the choice of the subsets.
        subsets: number of subsets.
        subset_images: real and generated images in a subset, at most those of the smaller side.

    Raises:
        InputError: a side has fewer than two images.
    """
    size = min(subset_images, len(real), len(fake))
    if size < 2:
        raise InputError(f"a kernel distance needs at least 2 images on each side, got {size}")
    if size == max(len(real), len(fake)):
        subsets = 1  # every subset is the whole set
    values = torch.stack(
        [
            _discrepancy(_subset(real, size, seed, 2 * i), _subset(fake, size, seed, 2 * i + 1))
            for i in range(subsets)
        ]
    )
    return KernelDistance(float(values.mean()), float(values.std(correction=0)), size)


def _subset(features: Tensor, size: int, seed: int, number: int) -> Tensor:
    rows = torch.randperm(len(features), generator=generator_for(seed, number))[:size]
    return features[rows.to(features.device)].double()


def _discrepancy(real: Tensor, fake: Tensor) -> Tensor:
    """Unbiased estimate from as many real as fake features, float64, without pairs of one image."""
    pairs = len(real) * (len(real) - 1)
    within = sum(
        kernel.sum() - kernel.trace() for kernel in (_kernel(real, real), _kernel(fake, fake))
    )
    return within / pairs - 2 * _kernel(real, fake).mean()


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    return (first @ second.T / first.shape[1] + 1.0) ** 3

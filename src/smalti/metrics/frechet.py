"""Frechet distance between two sets of images, by a network's features.

With Inception's features it is the "FID"; another network's distance must not be called so.

Axes: C features of an image.
Reference: Heusel et al. 2017, arXiv:1706.08500, Eq. 6.
"""

import torch
from torch import Tensor

from smalti.metrics.moments import Gaussian
from smalti.words import counted


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """Frechet distance between two Gaussians, >= 0, and 0 for equal ones within rounding.

    |mean_1 - mean_2|^2 + trace(cov_1 + cov_2 - 2 (cov_1 cov_2)^(1/2)).
    """
    # With cov = F F^T, the trace of the root is the sum of the singular values of F_1^T F_2. The
    # eigenvalues of cov_1 cov_2 would give it too, but through roots of their rounding errors
    # where there are fewer images than features.
    factors = _factor(first.covariance), _factor(second.covariance)
    overlap = torch.linalg.svdvals(factors[0].T @ factors[1]).sum()
    shift = (first.mean - second.mean).square().sum()
    spread = first.covariance.trace() + second.covariance.trace() - 2 * overlap
    # Rounding may end a hair below 0.
    return max(0.0, float(shift + spread))


def _factor(covariance: Tensor) -> Tensor:
    """F (C, r) with F F^T = covariance of rank r: directions without variance are left out."""
    variances, directions = torch.linalg.eigh(covariance)  # ascending
    rounding = len(variances) * torch.finfo(variances.dtype).eps * variances[-1]
    has_spread = variances > rounding
    return directions[:, has_spread] * variances[has_spread].sqrt()


def frechet_warning(images: int, features: int) -> str | None:
    """Warning about a distance between sets of `images` images, or None if they are enough.

    With no more images than features, the covariance has directions without variance.
    """
    if images > features:
        return None
    return (
        f"the Frechet distance is of {counted(images, 'image')}, too few for the covariance of "
        f"{features:,} features (more than {features:,} are needed): it depends on their number, "
        "and compares only with figures of the same images"
    )

"""Mean and covariance of features, computed batch by batch.

Axes: B batch, C features of an image.
Reference: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", Eq. 2.1.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from smalti.config import InputError

SMALLEST_SET = 2
"""Least number of images for a covariance."""


class Gaussian(NamedTuple):
    """The normal distribution with the mean and covariance of a set of features."""

    mean: Tensor  # (C,) float64
    covariance: Tensor  # (C, C) float64, symmetric


class FeatureMoments:
    """Number, mean and scatter of features, over any number of batches.

    However a set is divided, the moments are the same but for rounding in float64. They stay on
    the CPU: some devices have no float64. The scatter is the sum of the outer products of each
    image's difference from the mean, so that it stays exact beside a large mean.

    Args:
        features: C.
    """

    def __init__(self, features: int) -> None:
        self.count = 0
        self.mean = torch.zeros(features, dtype=torch.float64)  # (C,)
        self.scatter = torch.zeros(features, features, dtype=torch.float64)  # (C, C)

    def add(self, features: Tensor) -> Self:
        """Add features (B, C) floating point of images, on any device; returns these moments."""
        assert features.shape[1:] == self.mean.shape, features.shape
        if len(features):
            values = features.detach().cpu().double()
            mean = values.mean(0)
            centred, shift = values - mean, mean - self.mean
            total = self.count + len(values)
            self.scatter += centred.T @ centred
            self.scatter.addr_(shift, shift, alpha=self.count * len(values) / total)
            self.mean += shift * (len(values) / total)
            self.count = total
        return self

    def gaussian(self) -> Gaussian:
        """Mean, and covariance with the divisor n - 1.

        Raises:
            InputError: there are fewer than two images.
        """
        if self.count < SMALLEST_SET:
            raise InputError(
                f"a Frechet distance needs at least {SMALLEST_SET} images, got {self.count}"
            )
        return Gaussian(self.mean, self.scatter / (self.count - 1))

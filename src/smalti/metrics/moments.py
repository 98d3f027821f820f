"""Mean and covariance of features, computed over the pieces of a set.

Axes: B batch, C features of an image.
Reference: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", Eq. 2.1.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self

import torch
from torch import Tensor

from smalti.config import InputError
from smalti.distributed import sum_over_processes

SMALLEST_SET = 2
"""Least number of images for a covariance."""


class Gaussian(NamedTuple):
    """The normal distribution with the mean and covariance of a set of features."""

    mean: Tensor  # (C,) float64
    covariance: Tensor  # (C, C) float64, symmetric


class FeatureMoments:
    """Number, mean and scatter of features, over any number of batches, processes and machines.

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
        """Add features (B, C) floating point of images, on any device.

        Returns:
            These moments.
        """
        assert features.shape[1:] == self.mean.shape, features.shape
        if len(features):
            values = features.detach().cpu().double()
            mean = values.mean(0)
            centred = values - mean
            self._merge(len(values), mean, centred.T @ centred)
        return self

    def merge(self, other: Self) -> Self:
        """Add the moments of other images.

        Returns:
            These moments.
        """
        if other.count:
            self._merge(other.count, other.mean, other.scatter)
        return self

    def _merge(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        total = self.count + count
        shift = mean - self.mean
        self.scatter += scatter
        self.scatter.addr_(shift, shift, alpha=self.count * count / total)
        self.mean += shift * (count / total)
        self.count = total

    def over_processes(self) -> Self:
        """The moments of the images of all processes together, the same in each of them."""
        total = type(self)(len(self.mean))
        total.count = int(sum_over_processes(torch.tensor(self.count)))
        if total.count:
            total.mean = sum_over_processes(self.count * self.mean) / total.count
            shift = self.mean - total.mean
            total.scatter = sum_over_processes(
                self.scatter.addr(shift, shift, alpha=float(self.count))
            )
        return total

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

    def tensors(self) -> dict[str, Tensor]:
        """The moments as tensors by name, for a file; `from_tensors` reads them."""
        return {"count": torch.tensor(self.count), "mean": self.mean, "scatter": self.scatter}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """The moments of a file, from what `tensors` returned."""
        moments = cls(len(tensors["mean"]))
        moments.count = int(tensors["count"])
        moments.mean, moments.scatter = tensors["mean"], tensors["scatter"]
        return moments

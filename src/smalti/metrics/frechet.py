"""Frechet distance between two sets of images, as a network describes them.

With Inception's features it is the "FID"; with another network's, the number is another and must
not be called so.

Axes: B batch, C features of an image.
Reference: Heusel et al. 2017, arXiv:1706.08500, Eq. 6.
"""

from torch import Tensor, nn

from smalti.config import InputError

SMALLEST_SET = 2  # a covariance needs two


class FrechetDistance:
    """Distance between the Gaussians with the means and covariances of two sets of features.

    |mean_1 - mean_2|^2 + trace(cov_1 + cov_2 - 2 (cov_1 cov_2)^(1/2)), 0 for equal sets. Batches
    may have any size and come in any order. Sums are float64 and stay on the CPU: differences of
    large sums remain, and some devices have no float64.

    Args:
        features: C.
    """

    def __init__(self, features: int) -> None:
        # torchmetrics takes seconds to import, and only evaluation needs it.
        from torchmetrics.image.fid import FrechetInceptionDistance

        self.features = features
        self._metric = FrechetInceptionDistance(feature=_AsGiven(features))

    def add_real(self, features: Tensor) -> None:
        """Add features (B, C) floating point of images of the first set, on any device."""
        self._add(features, real=True)

    def add_fake(self, features: Tensor) -> None:
        """Add features (B, C) floating point of images of the second set, on any device."""
        self._add(features, real=False)

    def compute(self) -> float:
        """The distance, >= 0.

        Raises:
            InputError: a set has fewer than two images.
        """
        images = min(
            int(self._metric.real_features_num_samples), int(self._metric.fake_features_num_samples)
        )
        if images < SMALLEST_SET:
            raise InputError(
                f"a Frechet distance needs at least {SMALLEST_SET} images, got {images}"
            )
        # Rounding may end a hair below 0.
        return max(0.0, float(self._metric.compute()))

    def _add(self, features: Tensor, real: bool) -> None:
        assert features.ndim == 2, features.shape
        assert features.shape[1] == self.features, features.shape
        self._metric.update(features.detach().cpu().double(), real=real)


class _AsGiven(nn.Module):
    """The metric's extractor, where the features are computed outside of it."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.num_features = features

    def forward(self, features: Tensor) -> Tensor:
        return features


def frechet_warning(images: int, features: int) -> str | None:
    """What to know about a distance between sets of `images`, or None if there are enough.

    Up to as many images as features, the covariance has directions without any spread.
    """
    if images > features:
        return None
    return (
        f"the Frechet distance is of {images} images, fewer than enough for the covariance of "
        f"{features} features (more than {features}): it depends on their number, and compares "
        "only with figures of the same images"
    )

"""Tests whether a model repeats its training images, by the nearest one to each sample.

Axes: N samples, T training images, U images that were not trained on, C features of an image.
Reference: Meehan, Chaudhuri and Dasgupta 2020, arXiv:2004.05675, Sec. 3, whose test of data-copying
compares the same two sets of distances, cell by cell.
"""

from dataclasses import dataclass

from torch import Tensor

from smalti.metrics.neighbours import Neighbours, nearest

FEWEST_IMAGES = 10
"""Least number of samples, and of unseen images; the rank test tells nothing of fewer."""
LARGEST_P_VALUE = 0.001
SMALLEST_SHARE = 0.6
"""Share of pairs from which on a difference is worth a warning; with many samples a rank test finds
differences that do not matter."""


@dataclass(frozen=True, slots=True)
class Memorisation:
    """How near samples lie to training images, compared with images that were not trained on."""

    samples: Neighbours
    """The nearest training image of each sample: (N, 1) distances and row numbers."""
    unseen: Neighbours
    """The nearest training image of each image that was not trained on, likewise (U, 1)."""
    copies: int
    """Number of samples with exactly the features of a training image."""
    share_nearer: float
    """Share of the pairs of a sample and an unseen image in which the sample lies nearer to the
    training images; 0.5 if nothing was memorised."""
    p_value: float
    """P-value of the Mann-Whitney test of the hypothesis that samples do not lie nearer."""

    @property
    def warning(self) -> str | None:
        """A warning, or None without signs of memorisation."""
        fewest = min(len(self.samples.distances), len(self.unseen.distances))
        is_nearer = self.p_value <= LARGEST_P_VALUE and self.share_nearer >= SMALLEST_SHARE
        if fewest < FEWEST_IMAGES or not is_nearer:
            return None
        medians = [float(side.distances.median()) for side in (self.samples, self.unseen)]
        return (
            "the samples lie nearer to training images than images do that were not trained on: in "
            f"{self.share_nearer:.0%} of all pairs (50% where nothing is memorised), median "
            f"distance {medians[0]:.4g} against {medians[1]:.4g}; the prior may have memorised "
            "training images, or its samples are plainer than photographs: look at the pairs"
        )


def memorisation(samples: Tensor, training: Tensor, unseen: Tensor) -> Memorisation:
    """Compare how near samples and unseen images lie to training images.

    Args:
        samples: features (N, C) floating point, N >= 1.
        training: features (T, C) of the training images.
        unseen: features (U, C) of images of the same kind that were not trained on, U >= 1.
    """
    from scipy.stats import mannwhitneyu

    near, far = (nearest(queries, training, 1) for queries in (samples, unseen))
    test = mannwhitneyu(near.distances[:, 0], far.distances[:, 0], alternative="less")
    pairs = len(samples) * len(unseen)
    return Memorisation(
        samples=near,
        unseen=far,
        copies=int((near.distances == 0).sum()),
        # The statistic counts the pairs in which the sample lies farther, and half of the ties.
        share_nearer=1 - float(test.statistic) / pairs,
        p_value=float(test.pvalue),
    )

"""Precision and recall of a generative model: separate numbers for quality and variety.

Axes: R real images, F generated images, C features of an image.
Reference: Kynkaanniemi et al. 2019, arXiv:1904.06991, Sec. 2, Eqs. 1 to 3.
"""

from typing import NamedTuple

from torch import Tensor

from smalti.config import InputError
from smalti.metrics.neighbours import is_within, nearest

NEIGHBOURS = 3
"""k of the paper: an image's ball reaches to its third neighbour in its own set."""


class PrecisionRecall(NamedTuple):
    """Precision and recall of a set of generated images."""

    precision: float
    """Share of the generated images that lie where real ones do, in [0, 1]."""
    recall: float
    """Share of the real images that lie where generated ones do, in [0, 1]."""


def precision_recall(real: Tensor, fake: Tensor, neighbours: int = NEIGHBOURS) -> PrecisionRecall:
    """Precision and recall of generated images by their features.

    A set covers the balls around its images that reach to the k-th nearest other image of the
    set. Both numbers depend on how many images there are: compare equal counts only.

    Args:
        real: features (R, C) floating point.
        fake: features (F, C) floating point.
        neighbours: k.

    Raises:
        InputError: a set has no k-th neighbour.
    """
    fewest = min(len(real), len(fake))
    if fewest <= neighbours:
        raise InputError(
            f"precision and recall need more than {neighbours} images on each side, got {fewest}"
        )
    real_radii, fake_radii = (
        nearest(features, features, neighbours, skip_same_row=True).distances[:, -1]
        for features in (real, fake)
    )
    return PrecisionRecall(
        precision=float(is_within(fake, real, real_radii).double().mean()),
        recall=float(is_within(real, fake, fake_radii).double().mean()),
    )

"""Checks of the computation itself, made before anything is measured.

A stored pair of small sets must give its stored figures, and a set compared with itself no
distance. Another version of a library, or a device that computes wrongly, would fail them.
"""

import math

import torch
from torch import Tensor

from smalti.evaluation.extractors.base import Extractor
from smalti.metrics.class_score import class_score
from smalti.metrics.frechet import frechet_distance
from smalti.metrics.kernel_distance import kernel_distance
from smalti.metrics.moments import FeatureMoments, Gaussian
from smalti.metrics.precision_recall import precision_recall
from smalti.ranges import from_uint8

STORED = {
    "Frechet distance": 6.316276632,
    "kernel distance": 436.6573834,
    "precision": 0.6,
    "recall": 0.8,
    "class score": 1.444489703,
}
"""Figures of `small_sets`, from scipy and from plain loops over pairs."""
STORED_OF_EXTRACTORS = {
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db": 1.23857,  # EfficientNet
}
"""Kernel distance of the features of `small_pictures`, by fingerprint of the extractor."""
TOLERANCE = 1e-6
EXTRACTOR_TOLERANCE = 1e-3
"""Devices add up the float32 products of a convolution in different orders."""


class SelfCheckError(RuntimeError):
    """A known figure was computed wrongly, so that no other figure can be trusted."""


def check_statistics() -> None:
    """Compute each statistic of a pair of small sets whose figures are known.

    Raises:
        SelfCheckError: a figure differs.
    """
    real, fake = small_sets()
    first, second = (FeatureMoments(real.shape[1]).add(features) for features in (real, fake))
    precision, recall = precision_recall(real, fake)
    figures = {
        "Frechet distance": frechet_distance(first.gaussian(), second.gaussian()),
        "kernel distance": kernel_distance(real, fake, seed=0).mean,
        "precision": precision,
        "recall": recall,
        "class score": class_score(real, splits=2).mean,
    }
    for name, value in figures.items():
        _compare(f"the {name} of a stored pair of sets", value, STORED[name], TOLERANCE)


def check_extractor(extractor: Extractor) -> bool:
    """Compare two small sets of pictures whose distance is known.

    Returns:
        Whether a distance is stored for this extractor and its weights; else nothing is checked.

    Raises:
        SelfCheckError: the distance differs.
    """
    if extractor.fingerprint not in STORED_OF_EXTRACTORS:
        return False
    real, fake = extractor.of_batches(small_pictures())
    distance = kernel_distance(real, fake, seed=0).mean
    expected = STORED_OF_EXTRACTORS[extractor.fingerprint]
    name = f"the {extractor.kernel_name} of a stored pair of sets"
    _compare(name, distance, expected, EXTRACTOR_TOLERANCE)
    return True


def check_against_itself(gaussian: Gaussian, features: Tensor | None) -> None:
    """Compare a set with itself: the distance must be 0, precision and recall 1.

    Args:
        gaussian: mean and covariance of the set.
        features: (N, C) floating point of at least four images of it, or None.

    Raises:
        SelfCheckError: a figure differs.
    """
    share = frechet_distance(gaussian, gaussian) / float(gaussian.covariance.trace())
    _compare("1 + the Frechet distance of a set from itself", 1 + share, 1.0, TOLERANCE)
    if features is not None:
        for value in precision_recall(features, features):
            _compare("precision or recall of a set against itself", value, 1.0, TOLERANCE)


def small_sets() -> tuple[Tensor, Tensor]:
    """Make two sets of features, (40, 6) float64 in [0, 5), the same on every machine."""
    rows, columns = torch.arange(80)[:, None], torch.arange(6)
    numbers = (389 * rows**2 + 271 * columns**2 + 733 * rows * columns) % 997
    features = 4.0 / 997 * numbers.double()
    return features[:40], features[40:] + 1.0


def small_pictures() -> tuple[Tensor, Tensor]:
    """Make two sets of images, (4, 3, 32, 32) float32 in [-1, 1]: stripes and grainy stripes."""
    image, channel, y, x = torch.meshgrid(*map(torch.arange, (4, 3, 32, 32)), indexing="ij")
    stripes = (8 * (image + 1) * x + 40 * channel * y) % 256
    grain = (37 * x * x + 91 * y * y + 53 * x * y) % 64
    real, fake = (from_uint8(values.to(torch.uint8)) for values in (stripes, stripes // 2 + grain))
    return real, fake


def _compare(name: str, value: float, expected: float, tolerance: float) -> None:
    if not math.isclose(value, expected, rel_tol=tolerance, abs_tol=tolerance):
        raise SelfCheckError(f"{name} is {value:.9g}, but must be {expected:.9g}")

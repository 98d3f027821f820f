"""The Frechet distance between images and their reconstructions.

Axes: B batch, H/W image size in pixels.
"""

from collections.abc import Sequence

import torch

from smalti.evaluation.extractors.efficientnet import EfficientNetExtractor, seen_size
from smalti.evaluation.measures import Figure, Measure, Reconstructed
from smalti.metrics.frechet import frechet_distance, frechet_warning
from smalti.metrics.moments import FeatureMoments


class ReconstructionFD(Measure):
    """Frechet distance between images and their reconstructions, by EfficientNet-Lite0's features.

    It is not the FID, whose network is Inception: the two cannot be compared.

    Args:
        device: device of the network.
    """

    def __init__(self, device: torch.device) -> None:
        self._extractor = EfficientNetExtractor.load(None).to(device)
        features = self._extractor.feature_count
        self._real, self._fake = FeatureMoments(features), FeatureMoments(features)
        self._seen_px: tuple[int, int] | None = None

    def add(self, batch: Reconstructed) -> None:
        """Add the features of images and reconstructions (B, 3, H, W)."""
        self._real.add(self._extractor.features(batch.images))
        self._fake.add(self._extractor.features(batch.reconstructions))
        height, width = batch.images.shape[-2:]
        self._seen_px = seen_size(height, width)

    def figures(self) -> Sequence[Figure]:
        """The distance of all images from all reconstructions."""
        assert self._seen_px is not None, "no images were added"
        height, width = self._seen_px
        label = f"reconstruction FD (EfficientNet-Lite0 at {height}x{width})"
        distance = frechet_distance(self._real.gaussian(), self._fake.gaussian())
        return [Figure("reconstruction_fd", label, distance, "{:.3f}")]

    def warnings(self) -> Sequence[str]:
        """A sentence if there are too few images for the figure to be quoted."""
        warning = frechet_warning(self._real.count, self._extractor.feature_count)
        return [warning] if warning else []

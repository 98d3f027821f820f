"""The Frechet distance between images and their reconstructions.

Axes: B batch, H/W image size in pixels.
"""

from collections.abc import Sequence

import torch

from smalti.evaluation.extractors.efficientnet import EfficientNetExtractor, seen_size
from smalti.evaluation.measures import Figure, Measure, Reconstructed
from smalti.metrics.frechet import FrechetDistance, frechet_warning


class ReconstructionFD(Measure):
    """Frechet distance between images and their reconstructions, by EfficientNet-Lite0's features.

    It is not the FID, whose network is Inception: the two cannot be compared.

    Args:
        device: device of the network.
    """

    def __init__(self, device: torch.device) -> None:
        self._extractor = EfficientNetExtractor.load(None).to(device)
        self._distance = FrechetDistance(self._extractor.feature_count)
        self._seen_px: tuple[int, int] | None = None
        self._images = 0

    def add(self, batch: Reconstructed) -> None:
        """Add the features of images and reconstructions (B, 3, H, W)."""
        self._distance.add_real(self._extractor.features(batch.images))
        self._distance.add_fake(self._extractor.features(batch.reconstructions))
        height, width = batch.images.shape[-2:]
        self._seen_px = seen_size(height, width)
        self._images += len(batch.images)

    def figures(self) -> Sequence[Figure]:
        """The distance of all images from all reconstructions."""
        assert self._seen_px is not None, "no images were added"
        height, width = self._seen_px
        label = f"reconstruction FD (EfficientNet-Lite0 at {height}x{width})"
        return [Figure("reconstruction_fd", label, self._distance.compute(), "{:.3f}")]

    def warnings(self) -> Sequence[str]:
        """A sentence if there are too few images for the figure to be quoted."""
        warning = frechet_warning(self._images, self._extractor.feature_count)
        return [warning] if warning else []

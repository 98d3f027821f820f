"""Metrics of how close reconstructed label maps are to the real ones, in all processes together.

Axes: B batch, H/W size in pixels.
"""

import torch
from torch import Tensor

from smalti.content import IGNORED
from smalti.distributed import sum_over_processes


class LabelMapScores:
    """Pixel accuracy and mean IoU over any number of batches; ignored pixels do not count."""

    def __init__(self, classes: int) -> None:
        self._pixels = torch.zeros(classes, classes, dtype=torch.int64)
        """Number of pixels by class (rows) and reconstructed class (columns)."""

    def add(self, images: Tensor, reconstructions: Tensor) -> None:
        """Add label maps (B, H, W) int64 and their reconstructions, likewise, on any device."""
        # torchmetrics takes seconds to import, and only evaluation needs it.
        from torchmetrics.functional.classification import multiclass_confusion_matrix

        classes = len(self._pixels)
        pixels = multiclass_confusion_matrix(reconstructions, images, classes, ignore_index=IGNORED)
        self._pixels += pixels.cpu()

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels whose label is right, in [0, 1]."""
        pixels = sum_over_processes(self._pixels)
        return float(pixels.diagonal().sum() / pixels.sum())

    @property
    def mean_iou(self) -> float:
        """Mean over the classes of intersection over union, in [0, 1].

        Intersection and union are counted over all maps together. A class that is in no map does
        not count.
        """
        pixels = sum_over_processes(self._pixels)
        intersection = pixels.diagonal()
        union = pixels.sum(0) + pixels.sum(1) - intersection
        return float((intersection / union)[union > 0].mean())

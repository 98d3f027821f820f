"""Metrics of how close reconstructed label maps are to the real ones.

Axes: B batch, H/W size in pixels.
"""

from torch import Tensor

from smalti.content import IGNORED


class LabelMapScores:
    """Pixel accuracy and mean IoU over any number of batches; ignored pixels do not count.

    Args:
        classes: number of classes.
    """

    def __init__(self, classes: int) -> None:
        # torchmetrics takes seconds to import, and only evaluation needs it.
        from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

        self._accuracy = MulticlassAccuracy(classes, average="micro", ignore_index=IGNORED)
        self._iou = MulticlassJaccardIndex(classes, average="macro", ignore_index=IGNORED)

    def add(self, images: Tensor, reconstructions: Tensor) -> None:
        """Add label maps (B, H, W) int64 and their reconstructions, likewise, on any device."""
        for metric in (self._accuracy, self._iou):
            metric.to(images.device).update(reconstructions, images)

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels whose label is right, in [0, 1]."""
        return float(self._accuracy.compute())

    @property
    def mean_iou(self) -> float:
        """Mean over the classes of intersection over union, in [0, 1].

        Intersection and union are counted over all maps together. A class that is in no map does
        not count.
        """
        return float(self._iou.compute())

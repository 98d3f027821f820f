"""EfficientNet-Lite0, the extractor whose weights install with the package.

Axes: B batch, H/W image size in pixels, C features of an image, K classes.
"""

from typing import Self

import torch.nn.functional as F
from torch import Tensor

from smalti.config import InputError
from smalti.evaluation.extractors.base import EXTRACTORS, Extractor
from smalti.files import sha256
from smalti.losses.efficientnet import (
    BLOCKS,
    HEAD_CHANNELS,
    EfficientNetLite0,
    load_efficientnet,
    weights_path,
)

# The network was trained at 224 pixels; small images are enlarged less than that, for at 224 they
# would take 3.5 times as long as at 128.
SMALLEST_SIDE_PX, LARGEST_SIDE_PX = 128, 224


@EXTRACTORS.register("efficientnet")
class EfficientNetExtractor(Extractor):
    """Extractor of EfficientNet-Lite0's pooled features; it needs no connection.

    Its distance is not the FID, whose network is Inception: the two cannot be compared.
    """

    name = "EfficientNet"
    frechet_name = "FD-EfficientNet"
    kernel_name = "KD-EfficientNet"
    score_name = "class score (EfficientNet)"
    feature_count = HEAD_CHANNELS
    resize = (
        f"shorter side to {SMALLEST_SIDE_PX} if it is less and to {LARGEST_SIDE_PX} if it is more, "
        "the shape stays; bilinear between the pixels' centres, with antialiasing"
    )
    network: EfficientNetLite0

    @classmethod
    def load(cls, weights: str | None) -> Self:
        """Load the extractor onto the CPU.

        Raises:
            InputError: weights are named, but the package's are always used.
        """
        if weights is not None:
            raise InputError(f"EfficientNet has its own weights; it takes no others, got {weights}")
        return cls(load_efficientnet(), sha256(weights_path()))

    def _features(self, images: Tensor) -> Tensor:
        size = seen_size(*images.shape[-2:])
        seen = F.interpolate(images, size, mode="bilinear", antialias=True)
        return self.network.pool(self.network.features(seen, (BLOCKS,))[0])

    def logits(self, features: Tensor) -> Tensor:
        """Compute the logits (B, 1000) of ImageNet's classes."""
        classifier = self.network.classifier
        device = features.device
        return F.linear(features, classifier.weight.to(device), classifier.bias.to(device))


def seen_size(height: int, width: int) -> tuple[int, int]:
    """Height and width to which an image is resized for the network.

    The shorter side becomes 128 pixels if it is less, 224 if it is more; the proportions stay.
    """
    shorter = min(height, width)
    wanted = min(max(shorter, SMALLEST_SIDE_PX), LARGEST_SIDE_PX)
    return round(height * wanted / shorter), round(width * wanted / shorter)

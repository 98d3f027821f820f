"""Perceptual losses that compare features, or features and logits, of EfficientNet-Lite0.

Axes: B batch, C channels, H/W image size in pixels, h/w size of a feature map.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from smalti.losses.config import PerceptualConfig
from smalti.losses.efficientnet import BLOCKS, load_efficientnet
from smalti.losses.perceptual import PERCEPTUAL_LOSSES, PerceptualLoss, squared_differences

DEPTHS = (0, 3, 5, 11)  # strides 2, 4, 8, 16 of the enlarged image


@PERCEPTUAL_LOSSES.register("efficientnet")
class EfficientNetPerceptualLoss(PerceptualLoss):
    """Differences of unit-length features of EfficientNet-Lite0 at four resolutions.

    Each stage gives 2 - 2 cos of the angle between the feature vectors, averaged over positions;
    the stages have equal weight. The values are of LPIPS's order, so one weight serves both.

    Images are enlarged twice first: the stem halves them again, and a reconstruction that follows
    the gradient of the small image fills with coloured dots which the stem does not see. The last
    two stages (stride 32) are not used: at 64 pixels they have 4x4 positions.

    Deviation: the paper has LPIPS with VGG16, which no package carries. Its learned channel weights
        have no counterpart here.
    """

    name = "EfficientNet-Lite0"
    smallest_px = 16

    def __init__(self, config: PerceptualConfig) -> None:
        super().__init__()
        self.network = load_efficientnet()

    def distance(self, images: Tensor, reconstructions: Tensor) -> Tensor:
        """Mean over stages and positions of 2 - 2 cos; see `forward`."""
        with torch.no_grad():
            real = self.network.features(enlarge(images), DEPTHS)
        return feature_distance(real, self.network.features(enlarge(reconstructions), DEPTHS))


@PERCEPTUAL_LOSSES.register("efficientnet-logits")
class EfficientNetLogitsLoss(EfficientNetPerceptualLoss):
    """The feature distance of `efficientnet` plus the squared difference of the network's logits.

    The features keep textures and edges in their places; the logits, the last layer's scores of the
    1,000 classes, keep what the image shows. One pass through the network gives both.

    Reference: Weber et al. 2024 (MaskBit), arXiv:2409.16211, whose tokenizers have the squared
        difference of a classifier's logits as their only perceptual loss.
    Deviation: EfficientNet-Lite0 in place of ResNet50, on images enlarged twice in place of 224x224
        pixels, and beside a feature distance.
    """

    name = "EfficientNet-Lite0 with logits"

    def __init__(self, config: PerceptualConfig) -> None:
        super().__init__(config)
        self.logit_weight = config.logit_weight

    def distance(self, images: Tensor, reconstructions: Tensor) -> Tensor:
        """Feature distance plus weighted mean squared difference of logits; see `forward`."""
        with torch.no_grad():
            *real, real_last = self.network.features(enlarge(images), (*DEPTHS, BLOCKS))
            real_logits = self._logits(real_last)
        *fake, fake_last = self.network.features(enlarge(reconstructions), (*DEPTHS, BLOCKS))
        logit_distance = (real_logits - self._logits(fake_last)).square().mean(1)
        return feature_distance(real, fake) + self.logit_weight * logit_distance

    def _logits(self, last_map: Tensor) -> Tensor:
        return self.network.classifier(self.network.pool(last_map))


def feature_distance(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Mean over stages and positions of 2 - 2 cos of the angle between feature vectors.

    The features of a stage are (B, C, h, w) float32 each, the result is (B,) float32 in [0, 4].
    """
    stages = [stage.sum(1).mean((1, 2)) for stage in squared_differences(real, fake)]
    return torch.stack(stages).mean(0)


def enlarge(images: Tensor) -> Tensor:
    """Enlarge images (B, 3, H, W) to (B, 3, 2 H, 2 W), bilinearly."""
    return F.interpolate(images, scale_factor=2, mode="bilinear")

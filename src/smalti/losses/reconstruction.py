"""The pixel term of the reconstruction loss, and its counterpart for label maps.

Axes: B batch, C channels or classes, H/W image size in pixels.
Reference: Esser et al. 2021, arXiv:2012.09841, Sec. 3.1, Eq. 4; Sec. 4.1: "a cross-entropy
    reconstruction loss" for label maps.
"""

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor

from smalti.content import IGNORED
from smalti.losses.config import PixelKind


def l1_loss(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Mean absolute difference (B,) float32 of images (B, C, H, W) and their reconstructions.

    Deviation: Eq. 4 has the squared difference; the released code trains with this one.
    """
    return (images.float() - reconstructions.float()).abs().flatten(1).mean(1)


def l2_loss(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Mean squared difference (B,) float32 of images (B, C, H, W) and their reconstructions.

    Reference: Eq. 4, first term, averaged instead of summed.
    """
    return (images.float() - reconstructions.float()).square().flatten(1).mean(1)


def cross_entropy_loss(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Mean cross-entropy of each label map's pixels, without the ignored ones.

    Args:
        images: (B, H, W) int64, labels in [0, C), or `IGNORED`.
        reconstructions: (B, C, H, W) floating point, logits.

    Returns:
        (B,) float32 >= 0; 0 for a map that is ignored altogether.

    Deviation: the released code has a binary cross-entropy for each class.
    """
    losses = F.cross_entropy(
        reconstructions.float(), images, ignore_index=IGNORED, reduction="none"
    )
    counted = (images != IGNORED).flatten(1).sum(1)
    return losses.flatten(1).sum(1) / counted.clamp(min=1)


PIXEL_LOSSES: Mapping[PixelKind, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": l1_loss,
    "l2": l2_loss,
    "cross_entropy": cross_entropy_loss,
}

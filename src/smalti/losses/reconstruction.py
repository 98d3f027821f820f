"""The pixel term of the reconstruction loss.

Axes: B batch, H/W image size in pixels.
Reference: Esser et al. 2021, arXiv:2012.09841, Sec. 3.1, Eq. 4.
"""

from collections.abc import Callable, Mapping

from torch import Tensor

from smalti.losses.config import PixelKind
from smalti.losses.label_map import cross_entropy_loss


def l1_loss(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Mean absolute difference of each image.

    Args:
        images: (B, C, H, W) floating point in [-1, 1].
        reconstructions: the same shape.

    Returns:
        (B,) float32 >= 0.

    Deviation: Eq. 4 has the squared difference; the released code trains with this one.
    """
    return (images.float() - reconstructions.float()).abs().flatten(1).mean(1)


def l2_loss(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Mean squared difference of each image.

    Args:
        images: (B, C, H, W) floating point in [-1, 1].
        reconstructions: the same shape.

    Returns:
        (B,) float32 >= 0.

    Reference: Eq. 4, first term, averaged instead of summed.
    """
    return (images.float() - reconstructions.float()).square().flatten(1).mean(1)


PIXEL_LOSSES: Mapping[PixelKind, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": l1_loss,
    "l2": l2_loss,
    "cross_entropy": cross_entropy_loss,
}

"""The reconstruction loss of label maps.

Axes: B batch, C classes, H/W size in pixels.
Reference: Esser et al. 2021, arXiv:2012.09841, Sec. 4.1: "a cross-entropy reconstruction loss".
"""

import torch.nn.functional as F
from torch import Tensor

from smalti.content import IGNORED


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

"""The quantity a prior is trained to lower and judged by."""

import torch.nn.functional as F
from torch import Tensor


def nll(logits: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood in nats per token, a scalar float32; log V for equal logits.

    Args:
        logits: (B, L, V) floating point.
        targets: (B, L) int64 in [0, V), the token each position should have predicted.

    Reference: arXiv:2012.09841, Eq. 9, divided by the length of the sequence.
    """
    # float32: over a large vocabulary, the sum of exponentials loses digits in half precision.
    return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

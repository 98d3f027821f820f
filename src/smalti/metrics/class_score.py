"""Score of how sure a classifier is of single images, and how varied they are together.

With Inception's logits it is the "Inception Score"; another network's score must not be called so.

Axes: N images, K classes.
Reference: Salimans et al. 2016, arXiv:1606.03498, Sec. 4.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from smalti.config import InputError

SPLITS = 10


class ClassScore(NamedTuple):
    """The score of a set, averaged over its splits."""

    mean: float
    """Mean in [1, K]: K if each image is surely of one class, and the classes equally frequent."""
    deviation: float
    """Standard deviation over the splits."""


def class_score(logits: Tensor, splits: int = SPLITS) -> ClassScore:
    """Exponential of the mean KL divergence of each image's classes from those of its split.

    Args:
        logits: (N, K) floating point, in the order of the images.
        splits: number of equal splits of the images, in their order; the score grows with the
            number of images in a split.

    Raises:
        InputError: there are fewer images than splits.
    """
    if len(logits) < splits:
        raise InputError(f"a class score needs at least {splits} images, got {len(logits)}")
    logs = logits.double().log_softmax(1)
    scores = torch.stack([_score(split) for split in logs.tensor_split(splits)])
    return ClassScore(float(scores.mean()), float(scores.std(correction=0)))


def _score(logs: Tensor) -> Tensor:
    """Score of one split, from log probabilities (N, K)."""
    mean = logs.exp().mean(0).log()  # (K,)
    return (logs.exp() * (logs - mean)).sum(1).mean().exp()

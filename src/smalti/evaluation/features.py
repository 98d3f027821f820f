"""Puts features of samples that several processes drew into the order of the samples.

Axes: N samples of a process, C features of an image.
"""

import torch
from torch import Tensor

from smalti.distributed import gather_batch, largest


def in_order(numbers: Tensor, features: Tensor) -> Tensor:
    """Gather the features of the samples of all processes, the same in each process.

    Args:
        numbers: (N,) int64 >= 0, numbers of this process's samples in any order; no two processes
            have the same.
        features: (N, C) float32 of these samples, on the CPU.

    Returns:
        (sum of N, C) float32, by ascending number.
    """
    missing = largest(len(numbers)) - len(numbers)  # processes exchange equal shapes
    padding = torch.full((missing,), -1), features.new_zeros(missing, features.shape[1])
    numbers = gather_batch(torch.cat([numbers, padding[0]]))
    features = gather_batch(torch.cat([features, padding[1]]))
    return features[numbers.argsort()[(numbers < 0).sum() :]]

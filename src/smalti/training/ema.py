"""Exponential moving average of a model's weights, which is evaluated, sampled from and saved."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

from smalti.sharding import own_part

M = TypeVar("M", bound=nn.Module)


class EMA(Generic[M]):
    """A copy of a model with the exponential moving average of its weights.

    The decay rises with the steps, min(decay, (1 + n) / (10 + n)), so that the random first weights
    do not stay long in a short run's average.

    Args:
        model: the model to average.
        decay: decay in [0, 1), the share of the old average that remains at each step.
    """

    def __init__(self, model: M, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Update the average after step number `step` of the model (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages = [own_part(average) for average in self.model.parameters()]
        weights = [own_part(weight) for weight in model.parameters()]
        torch._foreach_lerp_(averages, weights, 1 - decay)
        for average, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            average.copy_(buffer)

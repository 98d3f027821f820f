"""Exponential moving average of a model's weights: what is evaluated, sampled from and kept."""

import copy
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class EMA(Generic[M]):
    """A copy of a model whose weights follow the model's slowly.

    The decay rises with the steps, min(decay, (1 + n) / (10 + n)), so that a short run is not
    held back by its random start.

    Args:
        model: the model to follow.
        decay: in [0, 1): share of the old average that is kept at each step; 0 copies.
    """

    def __init__(self, model: M, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Follow the model after its step number `step` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averages: list[Tensor] = list(self.model.parameters())
        weights: list[Tensor] = list(model.parameters())
        torch._foreach_lerp_(averages, weights, 1 - decay)
        for average, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            average.copy_(buffer)

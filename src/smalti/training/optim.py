"""Optimizer and learning-rate schedule."""

import math

import torch
from torch import Tensor, nn

from smalti.sharding import whole
from smalti.training.config import OptimizerConfig


def learning_rate_at(step: int, total_steps: int, config: OptimizerConfig) -> float:
    """Learning rate of step `step` in [0, total_steps): linear rise, then half a cosine down."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, total_steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return config.learning_rate * (config.final_factor + (1 - config.final_factor) * cosine)


class ScheduledAdamW(torch.optim.AdamW):
    """AdamW with a learning rate that follows a schedule over the steps of a run.

    Parameters of one dimension (norms, biases) do not decay.
    """

    def __init__(self, module: nn.Module, config: OptimizerConfig, total_steps: int) -> None:
        parameters = [p for p in module.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ]
        betas = (config.beta1, config.beta2)
        super().__init__(groups, lr=config.learning_rate, betas=betas, fused=True)
        self.module, self.config, self.total_steps = module, config, total_steps

    def update(self, step: int, start: int = 0, factor: float = 1.0) -> Tensor:
        """Clip the gradients, take a step and clear the gradients.

        The schedule begins in the step `start` of the run, and `factor` multiplies its rate.
        Returns the gradients' norm before clipping, a scalar >= 0.
        """
        gradients = [p.grad for p in self.module.parameters() if p.grad is not None]
        norm = whole(nn.utils.get_total_norm(gradients))
        nn.utils.clip_grads_with_norm_(self.module.parameters(), self.config.clip_norm, norm)
        rate = learning_rate_at(step - start, self.total_steps - start, self.config)
        for group in self.param_groups:
            group["lr"] = factor * rate
        self.step()
        self.zero_grad(set_to_none=True)
        return norm

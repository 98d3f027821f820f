"""Optimizer and learning-rate schedule."""

import math

import torch
from torch import Tensor, nn

from smalti.training.config import OptimizerConfig


def build_optimizer(module: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW over a module; parameters of one dimension (norms, biases) do not decay."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True
    )


def learning_rate_at(step: int, total_steps: int, config: OptimizerConfig) -> float:
    """Learning rate of step `step` in [0, total_steps): linear rise, then half a cosine down."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, total_steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return config.learning_rate * (config.final_factor + (1 - config.final_factor) * cosine)


def update(
    optimizer: torch.optim.Optimizer, module: nn.Module, learning_rate: float, clip_norm: float
) -> Tensor:
    """Clip the gradients, take one optimizer step and clear the gradients.

    Returns the norm of the gradients before clipping, a scalar >= 0.
    """
    norm = nn.utils.clip_grad_norm_(module.parameters(), clip_norm)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm

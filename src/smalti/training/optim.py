"""Optimizer and learning-rate schedule."""

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from smalti.config import Config


class OptimizerConfig(Config):
    """AdamW with warm-up and cosine decay.

    The learning rate is used as written: it is not multiplied by batch size or devices.
    """

    learning_rate: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    """Highest learning rate, reached after the warm-up."""
    final_factor: float = Field(default=0.1, ge=0, le=1)
    """Learning rate of the last step as a share of the highest; 1 keeps it constant."""
    warmup_steps: int = Field(default=50, ge=0)
    """Steps over which the learning rate rises from 0."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the gradient's running mean."""
    beta2: float = Field(default=0.99, ge=0, lt=1)
    """Decay of the squared gradient's running mean."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay, on matrices, convolutions and embeddings."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this norm when theirs is larger."""


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
    """One optimizer step with the gradients in place, clipped; they are cleared after.

    Returns:
        The gradients' norm before clipping, a scalar >= 0.
    """
    norm = nn.utils.clip_grad_norm_(module.parameters(), clip_norm)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm

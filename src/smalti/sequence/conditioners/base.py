"""What all conditioners share: their registry, and dropping the condition."""

from typing import Any

import torch
from torch import Tensor

from smalti.registry import Registry

CONDITIONERS: Registry[Any] = Registry("conditioner")
"""Classes that follow `smalti.types.Conditioner` and are built with their config."""


def drop(
    cond_tokens: Tensor, null_tokens: Tensor, probability: float, generator: torch.Generator
) -> Tensor:
    """Replace the whole condition of some examples by one that says nothing.

    A prior trained so knows the images with and without their condition, which is what
    classifier-free guidance compares.

    Args:
        cond_tokens: (B, length) int64.
        null_tokens: (B, length) int64, on the same device.
        probability: share of the examples to replace, in [0, 1].
        generator: source of the choice, on any device.

    Returns:
        (B, length) int64.

    Reference: Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", arXiv:2207.12598,
        Algorithm 1.
    """
    chances = torch.rand(len(cond_tokens), 1, generator=generator, device=generator.device)
    return torch.where((chances < probability).to(cond_tokens.device), null_tokens, cond_tokens)

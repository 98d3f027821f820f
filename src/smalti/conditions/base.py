"""What all conditioners share: their registry, and dropping conditions."""

from typing import Any

import torch
from torch import Tensor

from smalti.registry import Registry

CONDITIONS: Registry[Any] = Registry("condition")
"""Classes that follow `smalti.types.Conditioner` and are built with their config."""


def draw_kept(batch_size: int, conditions: int, drop: float, generator: torch.Generator) -> Tensor:
    """Which conditions of which examples are said in training; the others are dropped.

    A prior trained so knows the images with and without their conditions, which is what
    classifier-free guidance compares. All conditions of an example are dropped together with
    probability `drop`; of several, each is dropped alone with the same probability too.

    Args:
        batch_size: B.
        conditions: n, number of conditions.
        drop: probability, in [0, 1].
        generator: source of the choice, on the processor.

    Returns:
        (B, n) bool, on the processor.

    Reference: Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", arXiv:2207.12598,
        Algorithm 1; Brooks et al. 2023, "InstructPix2Pix", arXiv:2211.09800, Sec. 3.2.1.
    """
    kept = torch.rand(batch_size, 1, generator=generator) >= drop
    if conditions > 1:
        kept = kept & (torch.rand(batch_size, conditions, generator=generator) >= drop)
    return kept.expand(batch_size, conditions)

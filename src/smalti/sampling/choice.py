"""Random choice of tokens, so that an image depends on its own seed only.

Axes: B batch, K codebook size, L image tokens.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from smalti.randomness import generator_for

Choose = Callable[[Tensor, int], Tensor]
"""Tokens (B,) int64 drawn from probabilities (B, K) float32 at a step (0 to L - 1)."""


def seeded_choice(seed: int, images: Iterable[int], length: int, device: torch.device) -> Choose:
    """Make a random choice of tokens in which image i depends on (seed, i) only.

    Neither the batch size nor the other images of a batch change it. The random numbers are drawn
    on the CPU, so that they are the same for all devices, and all at once, so that the device never
    waits for them.

    Args:
        seed: seed of the whole set of images.
        images: number of each image of the batch.
        length: L.
        device: device of the probabilities.
    """
    rows = [torch.rand(length, generator=generator_for(seed, image)) for image in images]
    uniforms = torch.stack(rows, dim=1).unsqueeze(-1).to(device)  # (L, B, 1) in [0, 1)

    def choose(probabilities: Tensor, step: int) -> Tensor:
        return invert_cdf(probabilities, uniforms[step])

    return choose


def invert_cdf(probabilities: Tensor, uniforms: Tensor) -> Tensor:
    """The code at which the cumulative probability first exceeds a number in [0, 1).

    Args:
        probabilities: (B, K) float32, each row sums to about 1.
        uniforms: (B, 1) float32 in [0, 1).

    Returns:
        (B,) int64 in [0, K), never a code of probability 0.
    """
    cumulative = probabilities.cumsum(-1)
    # Relative to the sum as computed, or rounding could leave no code above the number. A parallel
    # cumsum may also round a code of probability 0 above its neighbour: hence the second test.
    exceeds = cumulative > uniforms * cumulative[:, -1:]
    return (exceeds & (probabilities > 0)).int().argmax(-1)

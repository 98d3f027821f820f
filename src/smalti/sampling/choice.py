"""Random choice of tokens, so that an image depends on its own seed only.

Axes: B batch, K codebook size, L image tokens.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from smalti.randomness import generator_for

Choose = Callable[[Tensor, int], Tensor]
"""Tokens (B,) int64 drawn from probabilities (B, K) float32 at a step (0 to L - 1)."""

TINY = 1e-30  # above 0, so that a code of probability 0 never arrives
KEPT_STEPS = 256  # whose random numbers are kept, as a step may be drawn again


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


class RacingChoice:
    """A random choice of tokens that changes little where the probabilities change little.

    Each code has a time to arrive, exponentially distributed with its probability as the rate, and
    the first one is taken: code k wins with its probability. The random numbers behind the times
    belong to seed, image, step and code. Two choices at one step, by probabilities whose total
    variation distance is d, agree with a probability of at least (1 - d) / (1 + d).
    `seeded_choice`, which costs less, takes unrelated codes as soon as a sum before them changes.

    Args:
        seed: seed of the whole set of images.
        images: number of each image of the batch; image i depends on (seed, i) only.
        codebook_size: K.
        device: device of the probabilities.

    Reference: Daliri et al. 2024, "Coupling without Communication and Drafter-Invariant Speculative
        Decoding", arXiv:2408.07978, where the race is written with Gumbel noise.
    """

    def __init__(
        self, seed: int, images: Sequence[int], codebook_size: int, device: torch.device
    ) -> None:
        self._seed, self._images, self._codebook_size = seed, images, codebook_size
        self._device = device
        self._times: dict[int, Tensor] = {}

    def __call__(self, probabilities: Tensor, step: int) -> Tensor:
        """Tokens (B,) int64 by the probabilities (B, K) of a step."""
        return self.several(probabilities[:, None], step).squeeze(1)

    def several(self, probabilities: Tensor, step: int) -> Tensor:
        """Tokens (B, n) int64 by the probabilities (B, n, K) of the steps from `step` on."""
        steps = range(step, step + probabilities.shape[1])
        times = torch.stack([self._times_at(one) for one in steps], dim=1)
        return (probabilities / times).argmax(-1)

    def _times_at(self, step: int) -> Tensor:
        """Arrival times (B, K) of a step at a rate of 1, above 0."""
        if step not in self._times:
            if len(self._times) >= KEPT_STEPS:
                del self._times[next(iter(self._times))]
            streams = [generator_for(self._seed, image, step) for image in self._images]
            uniforms = [torch.rand(self._codebook_size, generator=stream) for stream in streams]
            times = -torch.log1p(-torch.stack(uniforms))  # of numbers in [0, 1)
            self._times[step] = times.clamp(min=TINY).to(self._device)
        return self._times[step]


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

"""Classifier-free guidance: how closely the conditions are followed, together or each of them.

Axes: B batch, n conditions, P prefixes of the conditions (rows of the prior's batch are P * B),
V vocabulary size.
Reference: Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", arXiv:2207.12598, Eq. 6;
    Brooks et al. 2023, "InstructPix2Pix", arXiv:2211.09800, Eq. 3 (several conditions).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from smalti.config import InputError
from smalti.sampling.config import GuidanceSchedule, SamplingConfig


class Guidance:
    """Mixes the logits with more and with fewer of the conditions.

    Prefix k has the first k conditions, and the others are dropped, for k = 0 to n. With the scales
    s_1 to s_n, and s_0 = 1, s_(n+1) = 0, the logits of prefix k have the weight s_k - s_(k+1): each
    condition, in its turn, moves the logits away from those without it. Prefixes of weight 0 are
    not computed; equal scales need two, scales of 1 one.

    Args:
        scales: one per condition, at least 0: 1 leaves a condition as it is, 0 ignores it.
        schedule: "constant", or "cosine": each scale rises from 1 along the image.
    """

    def __init__(self, scales: Sequence[float], schedule: GuidanceSchedule = "constant") -> None:
        self.scales = tuple(scales)
        self.schedule = schedule
        # What counts anywhere along the image counts at one of its ends.
        ends = [*zip(self._differences(0), self._differences(1), strict=True)]
        self.prefixes = tuple(k for k in reversed(range(len(ends))) if any(ends[k]))
        """Numbers (P,) of conditions that are not dropped, the highest first."""

    def _differences(self, progress: float) -> list[float]:
        """Weight of each prefix, k = 0 to n."""
        chain = [1.0, *self.scales_at(progress), 0.0]
        return [scale - following for scale, following in pairwise(chain)]

    def scales_at(self, progress: float) -> tuple[float, ...]:
        """The scales when a share of the image in [0, 1] is drawn."""
        if self.schedule == "constant":
            return self.scales
        ramp = (1 - math.cos(math.pi * progress)) / 2
        return tuple(1 + (scale - 1) * ramp for scale in self.scales)

    def weights(self, progress: float) -> list[float]:
        """Weight of each of `prefixes`; the sum is 1."""
        differences = self._differences(progress)
        return [differences[prefix] for prefix in self.prefixes]

    def mix(self, logits: Tensor, progress: float) -> Tensor:
        """Mix logits into guided logits.

        Args:
            logits: (P * B, V), all images of the first of `prefixes`, then of the second, and so
                on.
            progress: share of the image in [0, 1] that is drawn.

        Returns:
            (B, V), float32 where there is something to mix.
        """
        if len(self.prefixes) == 1:
            return logits
        by_prefix = logits.float().chunk(len(self.prefixes))
        first, *others = zip(self.weights(progress), by_prefix, strict=True)
        mixed = first[0] * first[1]
        for weight, added in others:
            mixed = mixed + weight * added
        return mixed

    def masks(self, kinds: Sequence[str]) -> list[Tensor]:
        """Which conditions are in each of `prefixes`, and which are dropped.

        Args:
            kinds: of all conditioners; "none" is a start token and no condition.

        Returns:
            P tensors (conditions,) bool, false where the condition is dropped.
        """
        numbers = torch.tensor([kind != "none" for kind in kinds]).cumsum(0)
        return [numbers <= prefix for prefix in self.prefixes]


def build_guidance(config: SamplingConfig, kinds: Sequence[str], condition_drop: float) -> Guidance:
    """Build the guidance of a config for a prior's conditions.

    Args:
        config: scales and schedule; one scale is for all conditions together.
        kinds: kinds of the prior's conditioners, in their order.
        condition_drop: share of examples without their conditions in the prior's training.

    Raises:
        InputError: the prior has no condition, was trained without dropped conditions, or has
            another number of conditions.
    """
    conditions = [kind for kind in kinds if kind != "none"]
    scales = config.guidance
    given = "guidance " + ", ".join(str(scale) for scale in scales)
    if len(scales) > 1 and len(scales) != len(conditions):
        known = ", ".join(conditions) or "none"
        raise InputError(
            f"{given}: the conditions of this prior are: {known}; give one scale for all together, "
            "or one for each"
        )
    if any(scale != 1 for scale in scales):
        if not conditions:
            raise InputError(f"{given} needs a prior with a condition; leave it at 1")
        if condition_drop == 0:
            raise InputError(
                f"{given} needs a prior trained with condition-drop above 0, so that it knows "
                "images without their conditions; leave it at 1"
            )
    if len(scales) == 1:
        scales = scales * len(conditions)
    return Guidance(scales, config.guidance_schedule)

"""Remedies that are safe to apply while a tokenizer trains."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smalti.health.findings import FindingKind, RemedyKind

LOWEST_FACTOR = 1 / 8  # beyond three halvings the setting is wrong, and a person must change it


@dataclass(frozen=True, slots=True)
class Treatment:
    """A remedy that was applied."""

    finding: FindingKind
    remedy: RemedyKind
    change: str
    """The change that was made, in words."""


class Remedies(nn.Module):
    """Factors by which remedies weaken the discriminator; 1 in a run that needs no remedy.

    They are buffers, so that checkpoints hold them and a resumed run goes on with them. They stay
    on the CPU: a step reads them as numbers, which must not wait for a graphics card.

    Attributes:
        discriminator_rate_factor: scalar float32 in [1/8, 1], which multiplies the learning rate of
            the discriminator.
        adversary_weight_factor: scalar float32 in [1/8, 1], which multiplies the weight of the
            generator loss.
    """

    discriminator_rate_factor: Tensor
    adversary_weight_factor: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("discriminator_rate_factor", torch.ones(()))
        self.register_buffer("adversary_weight_factor", torch.ones(()))

    def slow_discriminator(self) -> str | None:
        """Halve the discriminator's learning rate; returns a text of it, or None at the limit."""
        return _halve(self.discriminator_rate_factor, "learning rate of the discriminator")

    def soften_adversary(self) -> str | None:
        """Halve the weight of the generator loss; returns a text of it, or None at the limit."""
        return _halve(self.adversary_weight_factor, "weight of the adversary")


def _halve(factor: Tensor, name: str) -> str | None:
    if float(factor) <= LOWEST_FACTOR:
        return None
    factor.mul_(0.5)
    return f"{name} halved, to {float(factor):g} of the configured one"

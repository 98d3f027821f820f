"""Configs of the loss of stage 1. Imports no torch.

Reference: arXiv:2012.09841, Sec. 3.1, Eqs. 4 to 7.
"""

from typing import Annotated, Literal

from annotated_types import Ge, Lt
from pydantic import Field, Strict

from smalti.config import Config, InputError
from smalti.losses.config import AdaptiveWeightConfig, PerceptualConfig, PixelKind

# A whole number is steps, a fraction is a share of the run; strict, or 1.0 would be a step.
Duration = Annotated[int, Strict(), Ge(0)] | Annotated[float, Ge(0), Lt(1)]


class AdversaryConfig(Config):
    """Options of the adversarial loss: when the discriminator starts, and its weight."""

    kind: Literal["auto", "hinge", "log", "none"] = "auto"
    """Adversarial loss: hinge (released code), log (Eq. 5), or none, which has no discriminator.
    auto is hinge for photographs and none for maps."""
    start: Duration | Literal["auto"] = "auto"
    """When the discriminator begins to learn: a step, or a share of the run. auto is when the
    reconstruction loss has reached a plateau."""
    auto_improvement: float = Field(default=0.03, gt=0, lt=1)
    """With start auto, the loss has reached a plateau when it falls by less than this share over a
    twentieth of the run, between 20 % and 40 % of the run; at 40 % the discriminator starts
    anyway."""
    warmup: Duration = 0.02
    """Steps or share of the run for which the discriminator learns, while the generator loss still
    has no weight."""
    ramp: Duration = 0.1
    """Steps or share of the run over which the weight of the generator loss then rises from 0 to
    full."""
    weight: float = Field(default=0.25, ge=0)
    """Weight of the generator loss; 1 in the released code. More gives sharper and less faithful
    images."""
    weighing: Literal["adaptive", "fixed"] = "adaptive"
    """`adaptive` multiplies `weight` by the adaptive weight of Eq. 7; `fixed` takes `weight`
    alone."""
    adaptive: AdaptiveWeightConfig = AdaptiveWeightConfig()
    """Options of the adaptive weight. They have no effect on a fixed one."""
    lecam_weight: float = Field(default=0.01, ge=0)
    """Weight of the LeCam penalty in the discriminator loss (Tseng et al. 2021, arXiv:2104.03310);
    0 switches it off."""

    @property
    def is_played(self) -> bool:
        """Whether there is an adversary at all."""
        return self.kind != "none"

    def check(self, total_steps: int) -> None:
        """Refuse a start that a run of `total_steps` never reaches.

        Raises:
            InputError: the start is at or after the end.
        """
        if self.is_played and isinstance(self.start, int) and self.start >= total_steps:
            raise InputError(
                f"loss.adversary.start is step {self.start}, but the run ends at step "
                f"{total_steps}; start earlier (a step, a share such as 0.4, or auto), or set "
                "loss.adversary.kind to none"
            )


class VQGANLossConfig(Config):
    """Options of the loss of stage 1: its terms and their weights."""

    pixel: PixelKind = "l1"
    """Pixel loss: l1 (released code) or l2 (Eq. 4); label maps always have cross_entropy, edges
    l2."""
    pixel_weight: float = Field(default=1.0, ge=0)
    """Weight of the pixel loss in the reconstruction loss."""
    perceptual: PerceptualConfig = PerceptualConfig()
    """Options of the perceptual loss."""
    perceptual_weight: float = Field(default=0.5, ge=0)
    """Weight of the perceptual loss in the reconstruction loss; 1 in the released code."""
    codebook_weight: float = Field(default=1.0, ge=0)
    """Weight of the codebook term of Eq. 4; the released code has 0.25."""
    commitment_weight: float = Field(default=0.25, ge=0)
    """Weight of the commitment term, beta of Eq. 4; the released code has 1.0."""
    adversary: AdversaryConfig = AdversaryConfig()
    """Options of the adversarial loss."""

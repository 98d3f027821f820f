"""Stage 1, one step: encoder, decoder and codebook learn to reconstruct, the discriminator to tell.

Axes: B batch, C channels, H/W image size in pixels.
Reference: arXiv:2012.09841, Sec. 3.1, Eqs. 4 to 7.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from smalti.losses.adversarial import (
    ADVERSARIAL_LOSSES,
    AdaptiveWeightConfig,
    AdversarialKind,
    adaptive_weight,
    last_layer_gradient,
)
from smalti.losses.discriminator import PatchDiscriminator
from smalti.losses.perceptual import PerceptualConfig, PerceptualLoss
from smalti.losses.reconstruction import PIXEL_LOSSES, PixelKind
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.ema import EMA
from smalti.training.optim import OptimizerConfig, learning_rate_at, update
from smalti.training.precision import Compute
from smalti.types import Config


class AdversaryConfig(Config):
    """When and how much the discriminator counts."""

    kind: AdversarialKind = "hinge"
    """hinge (released code) or log (Eq. 5)."""
    start_step: int | None = Field(default=None, ge=0)
    """Step at which the discriminator begins to learn; null is after 40 % of the run. At or after
    the end of the run there is no adversary at all."""
    warmup_steps: int | None = Field(default=None, ge=0)
    """Steps for which it only learns, on reconstructions that do not hear of it; null is 2 %."""
    ramp_steps: int | None = Field(default=None, ge=0)
    """Steps over which its weight then rises from 0 to full; null is 10 % of the run."""
    weight: float = Field(default=0.25, ge=0)
    """Multiplies the adaptive weight; 1 in the released code. More is sharper and less faithful."""
    adaptive: AdaptiveWeightConfig = AdaptiveWeightConfig()
    """The adaptive weight (Eq. 7)."""

    def resolve(self, total_steps: int) -> "AdversaryConfig":
        """The same with every null filled in for a run of `total_steps`."""
        defaults = {
            "start_step": int(0.4 * total_steps),
            "warmup_steps": int(0.02 * total_steps),
            "ramp_steps": int(0.1 * total_steps),
        }
        missing = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        return self.model_copy(update=missing)

    def learns(self, step: int) -> bool:
        """Whether the discriminator learns in step `step`."""
        return step >= _resolved(self.start_step)

    def ramp(self, step: int) -> float:
        """Share of the full weight in step `step`, in [0, 1]."""
        ramp_steps = _resolved(self.ramp_steps)
        since = step - (self.full_step - ramp_steps)
        return min(1.0, (since + 1) / (ramp_steps + 1)) if since >= 0 else 0.0

    @property
    def full_step(self) -> int:
        """First step at full weight."""
        steps = (self.start_step, self.warmup_steps, self.ramp_steps)
        return sum(_resolved(count) for count in steps)


def _resolved(steps: int | None) -> int:
    assert steps is not None, "AdversaryConfig.resolve was not called"
    return steps


class VQGANLossConfig(Config):
    """Terms of the loss and their weights."""

    pixel: PixelKind = "l1"
    """l1 (released code) or l2 (Eq. 4)."""
    pixel_weight: float = Field(default=1.0, ge=0)
    """Weight of the pixel loss in the reconstruction loss."""
    perceptual: PerceptualConfig = PerceptualConfig()
    """Which network compares images."""
    perceptual_weight: float = Field(default=0.5, ge=0)
    """Weight of the perceptual loss in the reconstruction loss; 1 in the released code."""
    codebook_weight: float = Field(default=1.0, ge=0)
    """Weight of the codebook term of Eq. 4; the released code has 0.25."""
    commitment_weight: float = Field(default=0.25, ge=0)
    """Beta of Eq. 4; the released code has 1.0."""
    adversary: AdversaryConfig = AdversaryConfig()
    """The discriminator's part."""


@dataclass(slots=True)
class VQGANState:
    """What a step reads and changes."""

    vqgan: VQGAN
    discriminator: PatchDiscriminator
    perceptual: PerceptualLoss
    average: EMA[VQGAN]
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer
    compute: Compute
    step: int = 0


@dataclass(frozen=True, slots=True)
class VQGANStepConfig:
    """What a step needs to know of the run."""

    loss: VQGANLossConfig
    """With the adversary resolved for the run."""
    optimizer: OptimizerConfig
    discriminator_optimizer: OptimizerConfig
    total_steps: int
    accumulation_steps: int


def vqgan_step(state: VQGANState, images: Tensor, config: VQGANStepConfig) -> dict[str, Tensor]:
    """One update of encoder, decoder and codebook, and one of the discriminator once it learns.

    Args:
        state: models, optimizers and step count; updated in place.
        images: (B, 3, H, W) float32 in [-1, 1], on the device of the models.
        config: losses and schedules.

    Returns:
        Detached scalars by name, for the log.

    Reference: Eqs. 4 to 7.
    Deviation: one forward pass of the autoencoder serves both updates; the released code runs a
        second one (docs/deviations.md).
    """
    scalars: dict[str, Tensor] = {}
    parts = images.chunk(config.accumulation_steps)
    for part in parts:
        share = len(part) / len(images)
        for name, value in _accumulate_gradients(state, part, config, share).items():
            scalars[name] = scalars.get(name, torch.zeros_like(value)) + share * value

    rate = learning_rate_at(state.step, config.total_steps, config.optimizer)
    scalars["gradient_norm"] = update(
        state.generator_optimizer, state.vqgan, rate, config.optimizer.clip_norm
    )
    if config.loss.adversary.learns(state.step):
        rate = learning_rate_at(state.step, config.total_steps, config.discriminator_optimizer)
        scalars["discriminator_gradient_norm"] = update(
            state.discriminator_optimizer,
            state.discriminator,
            rate,
            config.discriminator_optimizer.clip_norm,
        )
    state.average.update(state.vqgan, state.step)
    state.step += 1
    return scalars


def _accumulate_gradients(
    state: VQGANState, images: Tensor, config: VQGANStepConfig, share: float
) -> dict[str, Tensor]:
    """Add `share` times the gradients of one part of the batch to both networks'."""
    loss_config, adversary = config.loss, config.loss.adversary
    with state.compute.autocast():
        reconstructions, quantized, last_features = state.vqgan(images)
    # The losses see a leaf: each is differentiated down to the reconstruction once, and the sum
    # is sent through the autoencoder in one backward pass.
    surface = reconstructions.detach().float().requires_grad_()
    scalars = _reconstruction_terms(state, images, surface, loss_config)
    (gradient,) = torch.autograd.grad(scalars["reconstruction_loss"], surface)

    if adversary.learns(state.step):
        judged = _judge(state, images, surface, adversary)
        scalars |= judged.scalars
        ramp = adversary.ramp(state.step)
        if ramp > 0:
            (pull,) = torch.autograd.grad(judged.generator_loss, surface, retain_graph=True)
            weight = (
                ramp * adversary.weight * _weigh(state, last_features, gradient, pull, adversary)
            )
            gradient = gradient + weight * pull
            scalars["adaptive_weight"] = weight
        loss = share * judged.discriminator_loss
        loss.backward(inputs=list(state.discriminator.parameters()))  # type: ignore[no-untyped-call]

    latent_loss = (
        loss_config.codebook_weight * quantized.codebook_loss
        + loss_config.commitment_weight * quantized.commitment_loss
    )
    torch.autograd.backward(
        [reconstructions, share * latent_loss],
        [share * gradient.to(reconstructions.dtype), torch.ones_like(latent_loss)],
    )
    scalars |= {
        "codebook_loss": quantized.codebook_loss,
        "commitment_loss": quantized.commitment_loss,
    }
    return {name: value.detach() for name, value in scalars.items()}


def _reconstruction_terms(
    state: VQGANState, images: Tensor, reconstructions: Tensor, config: VQGANLossConfig
) -> dict[str, Tensor]:
    """The reconstruction loss and its parts, scalars."""
    pixel_loss = PIXEL_LOSSES[config.pixel](images, reconstructions).mean()
    perceptual_loss = state.perceptual(images, reconstructions).mean()
    total = config.pixel_weight * pixel_loss + config.perceptual_weight * perceptual_loss
    return {
        "reconstruction_loss": total,
        "pixel_loss": pixel_loss,
        "perceptual_loss": perceptual_loss,
    }


class _Judged(NamedTuple):
    """What one look of the discriminator at images and reconstructions gives."""

    discriminator_loss: Tensor  # scalar with a graph to the discriminator
    generator_loss: Tensor  # scalar with a graph to the reconstructions
    scalars: dict[str, Tensor]


def _judge(state: VQGANState, images: Tensor, surface: Tensor, config: AdversaryConfig) -> _Judged:
    """Both sides of the game from one forward pass each over images and reconstructions."""
    game = ADVERSARIAL_LOSSES[config.kind]
    with state.compute.autocast():
        real_logits = state.discriminator(images).float()
        fake_logits = state.discriminator(surface).float()
    generator_loss = game.generator_loss(fake_logits)
    discriminator_loss = game.discriminator_loss(real_logits, fake_logits)
    scalars = {
        "generator_loss": generator_loss,
        "discriminator_loss": discriminator_loss,
        "real_logits": real_logits.mean(),
        "fake_logits": fake_logits.mean(),
    }
    return _Judged(discriminator_loss, generator_loss, scalars)


def _weigh(
    state: VQGANState,
    last_features: Tensor,
    reconstruction_gradient: Tensor,
    generator_gradient: Tensor,
    config: AdversaryConfig,
) -> Tensor:
    """The adaptive weight (Eq. 7) times its factor, from two gradients at the reconstructions."""
    weight = state.vqgan.decoder.conv_out.weight
    reconstruction_pull = last_layer_gradient(last_features, reconstruction_gradient, weight)
    generator_pull = last_layer_gradient(last_features, generator_gradient, weight)
    adaptive = config.adaptive
    return adaptive.factor * adaptive_weight(
        reconstruction_pull, generator_pull, adaptive.delta, adaptive.max_weight
    )

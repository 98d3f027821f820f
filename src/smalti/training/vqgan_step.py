"""Stage 1, one step: encoder, decoder and codebook learn to reconstruct, the discriminator to tell.

Axes: B batch, C channels, H/W image size in pixels.
Reference: arXiv:2012.09841, Sec. 3.1, Eqs. 4 to 7.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import parametrize

from smalti.distributed import gather_batch, mean_over_processes, without_sync
from smalti.losses.adversarial import last_layer_gradient
from smalti.losses.discriminator import Judgement
from smalti.losses.perceptual import PerceptualConfig, PerceptualLoss
from smalti.losses.reconstruction import PIXEL_LOSSES, PixelKind
from smalti.tokenizer.vqgan import VQGAN, Reconstruction
from smalti.training.adversary import Adversary, AdversaryConfig
from smalti.training.ema import EMA
from smalti.training.game import pull_of_generator, teach, weigh
from smalti.training.optim import OptimizerConfig, learning_rate_at, update
from smalti.training.precision import Compute
from smalti.types import Config


class VQGANLossConfig(Config):
    """Terms of the loss and their weights."""

    pixel: PixelKind = "l1"
    """l1 (released code) or l2 (Eq. 4); of label maps it is always cross_entropy, of edges l2."""
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
    forward: nn.Module
    """The VQGAN, wrapped for distributed training where there is any."""
    perceptual: PerceptualLoss
    average: EMA[VQGAN]
    optimizer: torch.optim.Optimizer
    adversary: Adversary | None
    compute: Compute
    step: int = 0


@dataclass(frozen=True, slots=True)
class VQGANStepConfig:
    """What a step needs to know of the run."""

    loss: VQGANLossConfig
    optimizer: OptimizerConfig
    discriminator_optimizer: OptimizerConfig
    total_steps: int
    accumulation_steps: int


def vqgan_step(state: VQGANState, images: Tensor, config: VQGANStepConfig) -> dict[str, Tensor]:
    """One update of encoder, decoder and codebook, and one of the discriminator once it learns.

    Args:
        state: models, optimizers and step count; updated in place.
        images: this process's share of the batch, (B, 3, H, W) float32 in [-1, 1], on the device
            of the models.
        config: losses and schedules.

    Returns:
        Detached scalars by name, for the log: of this process's share, but the weights and
        gradient norms, which are of the whole batch.

    Reference: Eqs. 4 to 7.
    Deviation: one forward pass of the autoencoder serves both updates; the released code runs a
        second one (docs/deviations.md).
    """
    parts = images.chunk(config.accumulation_steps)
    _start_quantizer(state, parts)
    # A spectral norm is computed once a step, whatever the number of parts.
    with parametrize.cached():
        scalars = _accumulate_gradients(state, parts, config)
    rate = learning_rate_at(state.step, config.total_steps, config.optimizer)
    scalars["gradient_norm"] = update(
        state.optimizer, state.vqgan, rate, config.optimizer.clip_norm
    )
    state.vqgan.quantizer.finish_step()
    if state.adversary is not None:
        scalars |= _update_adversary(state.adversary, state.step, scalars, config)
    state.average.update(state.vqgan, state.step)
    state.step += 1
    return scalars


def _start_quantizer(state: VQGANState, parts: Sequence[Tensor]) -> None:
    """Show the first batch to a quantizer that begins where the data is."""
    # Later it is not asked: the answer may lie on a graphics card, which would be waited for.
    if state.step > 0 or not state.vqgan.quantizer.waits_for_start:
        return
    state.vqgan.quantizer.start(latent_of_all(state, parts))


@torch.no_grad()
def latent_of_all(state: VQGANState, parts: Sequence[Tensor]) -> Tensor:
    """Encoder output (B, D, h, w) of a batch of all processes, in the order of its images.

    Args:
        state: with the encoder.
        parts: of this process's share, (B', 3, H, W) each, as the step computes them.
    """
    with state.compute.autocast():
        return torch.cat([gather_batch(state.vqgan.latent(part)) for part in parts])


def _update_adversary(
    adversary: Adversary, step: int, scalars: dict[str, Tensor], config: VQGANStepConfig
) -> dict[str, Tensor]:
    """Move the discriminator, if it learned in this step; its own warm-up begins at its start."""
    schedule = adversary.schedule
    if not schedule.learns(step):
        schedule.observe(step, scalars["reconstruction_loss"])
        return {}
    start = int(schedule.start_step)
    optimizer = config.discriminator_optimizer
    rate = learning_rate_at(step - start, config.total_steps - start, optimizer)
    rate *= float(adversary.remedies.discriminator_rate_factor)
    norm = update(adversary.optimizer, adversary.discriminator, rate, optimizer.clip_norm)
    logits = torch.stack([scalars["real_logits"], scalars["fake_logits"]])
    adversary.averages.update(*mean_over_processes(logits))
    return {"discriminator_gradient_norm": norm}


class _Look(NamedTuple):
    """What the losses say of one part of a batch: everything below its reconstructions."""

    gradient: Tensor  # (B, C, H, W) of the reconstruction loss, at the reconstructions
    pull: Tensor | None  # that of the generator loss, once it counts
    last_layer: Tensor | None  # (2, ...) share of both, carried to the last layer's weight
    scalars: dict[str, Tensor]


def _accumulate_gradients(
    state: VQGANState, parts: Sequence[Tensor], config: VQGANStepConfig
) -> dict[str, Tensor]:
    """Put the gradients of the whole batch in place, of both networks; returns the scalars.

    The adaptive weight is that of the whole batch. Where the batch comes in parts, all of them are
    looked at first, without the autoencoder's graph, which only one part at a time can have.
    """
    counts = state.adversary is not None and state.adversary.schedule.ramp(state.step) > 0
    shares = [len(part) / sum(map(len, parts)) for part in parts]
    ahead = _look_ahead(state, parts, config, shares) if counts and len(parts) > 1 else None
    weights = _weigh(state, ahead) if ahead else {}
    rows: list[dict[str, Tensor]] = []
    for number, (part, share) in enumerate(zip(parts, shares, strict=True)):
        is_last = number == len(parts) - 1
        with without_sync(state.forward, unless=is_last):
            forward = _run(state, part)
            look = ahead[number] if ahead else _look(state, part, forward, config, share, is_last)
            if counts and not ahead:
                weights = _weigh(state, [look])
            rows.append(look.scalars | _send_back(forward, look, weights, config, share))
    scalars = {
        name: torch.stack([s * row[name] for s, row in zip(shares, rows, strict=True)]).sum(0)
        for name in rows[0]
    }
    return scalars | weights


def _run(state: VQGANState, images: Tensor) -> Reconstruction:
    with state.compute.autocast():
        result: Reconstruction = state.forward(images)
    return result


def _look_ahead(
    state: VQGANState, parts: Sequence[Tensor], config: VQGANStepConfig, shares: Sequence[float]
) -> list[_Look]:
    """Look at every part, and leave the random numbers of its forward pass to be drawn again."""
    devices = [parts[0].device] if parts[0].is_cuda else []
    looks = []
    with torch.random.fork_rng(devices):
        for number, (part, share) in enumerate(zip(parts, shares, strict=True)):
            with torch.no_grad():
                forward = _run(state, part)
            is_last = number == len(parts) - 1
            looks.append(_look(state, part, forward, config, share, is_last))
    return looks


def _look(
    state: VQGANState,
    images: Tensor,
    forward: Reconstruction,
    config: VQGANStepConfig,
    share: float,
    is_last: bool,
) -> _Look:
    """Differentiate the losses as far as the reconstructions, and let the discriminator learn.

    The losses see a leaf: each is differentiated down to it once, and their weighted sum is sent
    through the autoencoder in one backward pass.
    """
    surface = forward.reconstructions.detach().float().requires_grad_()
    scalars = _reconstruction_terms(state, images, surface, config.loss)
    (gradient,) = torch.autograd.grad(scalars["reconstruction_loss"], surface)
    pull = last_layer = None
    adversary = state.adversary
    if adversary is not None and adversary.schedule.learns(state.step):
        with without_sync(adversary.judge, unless=is_last):
            with state.compute.autocast():
                judgement: Judgement = adversary.judge(images, surface)
            if adversary.schedule.ramp(state.step) > 0:
                pull = pull_of_generator(judgement, surface, adversary.config)
                sides = _at_last_layer(state.vqgan, forward.last_features, gradient, pull)
                last_layer = share * sides
            scalars |= teach(adversary, judgement, share)
    scalars = {name: value.detach() for name, value in scalars.items()}
    return _Look(gradient, pull, last_layer, scalars)


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


def _at_last_layer(vqgan: VQGAN, features: Tensor, gradient: Tensor, pull: Tensor) -> Tensor:
    """Both gradients at the reconstructions carried to the last layer's weight, (2, ...)."""
    weight = vqgan.decoder.conv_out.weight
    return torch.stack([last_layer_gradient(features, side, weight) for side in (gradient, pull)])


def _weigh(state: VQGANState, looks: Sequence[_Look]) -> dict[str, Tensor]:
    """The generator loss's weight in this step, from looks at all parts of the batch."""
    assert state.adversary is not None
    sides = [look.last_layer for look in looks if look.last_layer is not None]
    return weigh(state.adversary, torch.stack(sides).sum(0), state.step)


def _send_back(
    forward: Reconstruction,
    look: _Look,
    weights: dict[str, Tensor],
    config: VQGANStepConfig,
    share: float,
) -> dict[str, Tensor]:
    """One backward pass through the autoencoder for all terms; returns the quantizer's scalars."""
    quantized, loss = forward.quantized, config.loss
    gradient = look.gradient
    if look.pull is not None:
        gradient = gradient + weights["adversary_weight"] * look.pull
    latent_loss = (
        loss.codebook_weight * quantized.codebook_loss
        + loss.commitment_weight * quantized.commitment_loss
        + quantized.entropy_loss
    )
    roots = [forward.reconstructions]
    gradients = [share * gradient.to(forward.reconstructions.dtype)]
    if latent_loss.requires_grad:  # some quantizers have no loss of their own
        roots.append(share * latent_loss)
        gradients.append(torch.ones_like(latent_loss))
    torch.autograd.backward(roots, gradients)
    return {
        "codebook_loss": quantized.codebook_loss.detach(),
        "commitment_loss": quantized.commitment_loss.detach(),
        "entropy_loss": quantized.entropy_loss.detach(),
    }

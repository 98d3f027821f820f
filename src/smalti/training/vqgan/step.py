"""One step of stage 1: encoder, decoder and codebook learn, and so does the discriminator.

Axes: B batch, C channels, H/W image size in pixels.
Reference: arXiv:2012.09841, Sec. 3.1, Eqs. 4 to 7.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from smalti.compute import Compute
from smalti.distributed import gather_batch, without_sync
from smalti.losses.adversarial import last_layer_gradient
from smalti.losses.discriminator import Judgement
from smalti.losses.perceptual import PerceptualLoss
from smalti.losses.reconstruction import PIXEL_LOSSES
from smalti.tokenizer.vqgan import VQGAN, Reconstruction
from smalti.training.ema import EMA
from smalti.training.optim import ScheduledAdamW
from smalti.training.vqgan.adversary import Adversary
from smalti.training.vqgan.config import VQGANLossConfig


@dataclass(slots=True)
class VQGANState:
    """Models, optimizers and step count, which a step reads and changes."""

    vqgan: VQGAN
    forward: nn.Module
    """The VQGAN, wrapped for distributed training if there are several processes."""
    perceptual: PerceptualLoss
    average: EMA[VQGAN]
    optimizer: ScheduledAdamW
    adversary: Adversary | None
    compute: Compute
    step: int = 0

    @property
    def discriminator_learns(self) -> bool:
        """Whether the discriminator learns in this step."""
        return self.adversary is not None and self.adversary.schedule.learns(self.step)

    @property
    def generator_loss_counts(self) -> bool:
        """Whether the generator loss has a weight above 0 in this step."""
        return self.adversary is not None and self.adversary.schedule.ramp(self.step) > 0


@dataclass(frozen=True, slots=True)
class VQGANStepConfig:
    """Settings of the run that a step needs."""

    loss: VQGANLossConfig
    accumulation_steps: int


def vqgan_step(state: VQGANState, images: Tensor, config: VQGANStepConfig) -> dict[str, Tensor]:
    """One update of encoder, decoder and codebook, and one of the discriminator once it learns.

    Args:
        state: models, optimizers and step count; updated in place.
        images: this process's share of the batch, (B, 3, H, W) float32 in [-1, 1], on the device
            of the models.
        config: losses and chunks.

    Returns:
        Detached scalars by name, for the log: of this process's share, but the weights and
        gradient norms, which are of the whole batch.

    Reference: Eqs. 4 to 7.
    Deviation: one forward pass of the autoencoder serves both updates; the released code runs a
        second one (docs/deviations.md).
    """
    chunks = images.chunk(config.accumulation_steps)
    _start_quantizer(state, chunks)
    # A spectral norm is computed once a step, whatever the number of chunks.
    with parametrize.cached():
        scalars = _backward(state, chunks, config.loss)
    scalars["gradient_norm"] = state.optimizer.update(state.step)
    state.vqgan.quantizer.finish_step()
    if state.adversary is not None:
        scalars |= state.adversary.update(scalars, state.step)
    state.average.update(state.vqgan, state.step)
    state.step += 1
    return scalars


def _backward(
    state: VQGANState, chunks: Sequence[Tensor], config: VQGANLossConfig
) -> dict[str, Tensor]:
    """Compute the gradients of the whole batch for both networks; returns the scalars.

    Each loss is differentiated once, as far as the reconstructions. The weighted sum of the
    gradients then goes through the autoencoder in one backward pass per chunk.
    """
    fractions = [len(chunk) / sum(map(len, chunks)) for chunk in chunks]
    # Lambda of Eq. 7 is that of the whole batch. All of its chunks are looked at first, without the
    # autoencoder's graph, which only one chunk at a time can have.
    is_ahead = state.generator_loss_counts and len(chunks) > 1
    ahead = _losses_of_all(state, chunks, fractions, config) if is_ahead else []
    weights = _generator_weight(state, ahead)
    rows: list[dict[str, Tensor]] = []
    for number, (chunk, fraction) in enumerate(zip(chunks, fractions, strict=True)):
        is_last = number == len(chunks) - 1
        with without_sync(state.forward, unless=is_last):
            result = _reconstruct(state, chunk)
            if is_ahead:
                losses = ahead[number]
            else:
                losses = _losses(state, chunk, result, fraction, is_last, config)
                weights = _generator_weight(state, [losses])
            gradient = losses.reconstruction_gradient
            if losses.generator_gradient is not None:  # Eq. 6: L_VQ + lambda L_GAN
                gradient = gradient + weights["adversary_weight"] * losses.generator_gradient
            rows.append(losses.scalars | _send_back(result, gradient, fraction, config))
    return _weighted_sums(rows, fractions) | weights


class _Losses(NamedTuple):
    """Gradients and scalars of the losses for one chunk of a batch."""

    reconstruction_gradient: Tensor  # (B, C, H, W) of the reconstruction loss
    generator_gradient: Tensor | None  # (B, C, H, W) of the generator loss, once it counts
    at_last_layer: Tensor | None  # (2, ...) both, carried to the last layer's weight
    scalars: dict[str, Tensor]


def _losses(
    state: VQGANState,
    images: Tensor,
    result: Reconstruction,
    fraction: float,
    is_last: bool,
    config: VQGANLossConfig,
) -> _Losses:
    """Differentiate the losses as far as the reconstructions, and let the discriminator learn."""
    reconstructions = result.reconstructions.detach().float().requires_grad_()
    pixel_loss = PIXEL_LOSSES[config.pixel](images, reconstructions).mean()
    perceptual_loss = state.perceptual(images, reconstructions).mean()
    # Eq. 4, first term, with the perceptual loss of Sec. 3.1.
    loss = config.pixel_weight * pixel_loss + config.perceptual_weight * perceptual_loss
    (reconstruction_gradient,) = torch.autograd.grad(loss, reconstructions)
    scalars = {
        "reconstruction_loss": loss,
        "pixel_loss": pixel_loss,
        "perceptual_loss": perceptual_loss,
    }
    generator_gradient = at_last_layer = None
    if state.discriminator_learns:
        assert state.adversary is not None
        adversary = state.adversary
        with without_sync(adversary.judge, unless=is_last):
            with state.compute.autocast():
                judgement: Judgement = adversary.judge(images, reconstructions)
            if state.generator_loss_counts:
                generator_gradient = adversary.generator_gradient(judgement, reconstructions)
                gradients = (reconstruction_gradient, generator_gradient)
                at_last_layer = fraction * _at_last_layer(state.vqgan, result, gradients)
            scalars |= adversary.discriminator_backward(judgement, fraction)  # Eq. 5
    scalars = {name: value.detach() for name, value in scalars.items()}
    return _Losses(reconstruction_gradient, generator_gradient, at_last_layer, scalars)


def _losses_of_all(
    state: VQGANState,
    chunks: Sequence[Tensor],
    fractions: Sequence[float],
    config: VQGANLossConfig,
) -> list[_Losses]:
    """Losses of every chunk; the random numbers of the forward passes can be drawn again."""
    devices = [chunks[0].device] if chunks[0].is_cuda else []
    losses = []
    with torch.random.fork_rng(devices):
        for number, (chunk, fraction) in enumerate(zip(chunks, fractions, strict=True)):
            with torch.no_grad():
                result = _reconstruct(state, chunk)
            is_last = number == len(chunks) - 1
            losses.append(_losses(state, chunk, result, fraction, is_last, config))
    return losses


def _reconstruct(state: VQGANState, images: Tensor) -> Reconstruction:
    """Images through the autoencoder: G(q(E(x))), Eqs. 2 and 3."""
    with state.compute.autocast():
        result: Reconstruction = state.forward(images)
    return result


def _generator_weight(state: VQGANState, losses: Sequence[_Losses]) -> dict[str, Tensor]:
    """Lambda of Eq. 7 from the losses of all chunks, with the norms it follows from, by name."""
    gradients = [loss.at_last_layer for loss in losses if loss.at_last_layer is not None]
    if not gradients:
        return {}
    assert state.adversary is not None
    return state.adversary.generator_weight(torch.stack(gradients).sum(0), state.step)  # Eq. 7


def _at_last_layer(vqgan: VQGAN, result: Reconstruction, gradients: Sequence[Tensor]) -> Tensor:
    """Gradients at the reconstructions carried to the last layer's weight, stacked."""
    weight, features = vqgan.decoder.conv_out.weight, result.last_features
    return torch.stack([last_layer_gradient(features, one, weight) for one in gradients])


def _send_back(
    result: Reconstruction, gradient: Tensor, fraction: float, config: VQGANLossConfig
) -> dict[str, Tensor]:
    """One backward pass through the autoencoder for all terms; returns the quantizer's scalars.

    Args:
        result: result of the forward pass.
        gradient: (B, C, H, W), gradient of the loss at the reconstructions.
        fraction: fraction of the chunk in this process's batch, in (0, 1].
        config: weights of the quantizer's terms.
    """
    quantized = result.quantized
    # Eq. 4, second and third term.
    codebook_terms = (
        config.codebook_weight * quantized.codebook_loss
        + config.commitment_weight * quantized.commitment_loss
        + quantized.entropy_loss
    )
    roots = [result.reconstructions]
    gradients = [fraction * gradient.to(result.reconstructions.dtype)]
    if codebook_terms.requires_grad:  # some quantizers have no loss of their own
        roots.append(fraction * codebook_terms)
        gradients.append(torch.ones_like(codebook_terms))
    torch.autograd.backward(roots, gradients)
    return {
        "codebook_loss": quantized.codebook_loss.detach(),
        "commitment_loss": quantized.commitment_loss.detach(),
        "entropy_loss": quantized.entropy_loss.detach(),
    }


def _weighted_sums(
    rows: Sequence[Mapping[str, Tensor]], fractions: Sequence[float]
) -> dict[str, Tensor]:
    """Scalars of a batch, as weighted sums of those of its chunks."""
    return {
        name: torch.stack([f * row[name] for f, row in zip(fractions, rows, strict=True)]).sum(0)
        for name in rows[0]
    }


def _start_quantizer(state: VQGANState, chunks: Sequence[Tensor]) -> None:
    """Start a quantizer from the first batch, if it waits for it."""
    # Later it is not asked: the answer may lie on a graphics card, which would be waited for.
    if state.step > 0 or not state.vqgan.quantizer.waits_for_start:
        return
    state.vqgan.quantizer.start(latent_of_all(state, chunks))


@torch.no_grad()
def latent_of_all(state: VQGANState, chunks: Sequence[Tensor]) -> Tensor:
    """Encoder output (B, D, h, w) of a batch of all processes, in the order of its images.

    The chunks are those of this process's share, (B', 3, H, W) each, as the step computes them.
    """
    with state.compute.autocast():
        return torch.cat([gather_batch(state.vqgan.latent(chunk)) for chunk in chunks])

"""One step of stage 1: which schedule, which optimizer and which weight reach which network."""

from typing import Any

import pytest
import torch
from torch import Tensor

from smalti.compute import Compute
from smalti.losses.config import PatchDiscriminatorConfig, PerceptualConfig
from smalti.losses.discriminator import PatchDiscriminator
from smalti.losses.perceptual import PerceptualLoss
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.config import (
    EMAQuantizerConfig,
    GumbelQuantizerConfig,
    IBQConfig,
    QuantizerConfig,
    VectorQuantizerConfig,
)
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.config import OptimizerConfig
from smalti.training.ema import EMA
from smalti.training.optim import ScheduledAdamW
from smalti.training.vqgan.adversary import Adversary
from smalti.training.vqgan.config import AdversaryConfig, VQGANLossConfig
from smalti.training.vqgan.step import VQGANState, VQGANStepConfig, vqgan_step

SHAPE = {
    "channels": 8,
    "channel_multipliers": (1, 1),
    "code_dim": 4,
    "codebook_size": 8,
    "attention_levels": (),
    "middle_attention": False,
}
VECTOR = VectorQuantizerConfig()
START, STEPS = 8, 20  # of the discriminator, of the run
GENERATOR = OptimizerConfig(learning_rate=1e-3, warmup_steps=4, final_factor=0.1, clip_norm=0.5)
DISCRIMINATOR = OptimizerConfig(
    learning_rate=4e-3, warmup_steps=4, final_factor=0.1, clip_norm=0.01, beta1=0.5, beta2=0.6
)


class MeanOfAll(PerceptualLoss):
    """The mean of the reconstructions: a perceptual loss whose gradient is known."""

    name, smallest_px = "mean", 1

    def distance(self, images: Tensor, reconstructions: Tensor) -> Tensor:
        return reconstructions.flatten(1).mean(1)


def step_config(accumulation_steps: int = 1, **loss: Any) -> VQGANStepConfig:
    loss.setdefault("adversary", AdversaryConfig(start=START, warmup=0, ramp=0))
    return VQGANStepConfig(
        loss=VQGANLossConfig(perceptual=PerceptualConfig(kind="none"), **loss),
        accumulation_steps=accumulation_steps,
    )


def new_state(
    config: VQGANStepConfig, step: int, quantizer: QuantizerConfig = VECTOR
) -> VQGANState:
    """The same weights at every call, before step number `step`."""
    torch.manual_seed(0)
    vqgan = VQGAN(VQGANConfig(quantizer=quantizer, **SHAPE))
    discriminator = PatchDiscriminator(PatchDiscriminatorConfig(filters=4, layers=1))
    return VQGANState(
        vqgan=vqgan,
        forward=vqgan,
        perceptual=MeanOfAll(),
        average=EMA(vqgan, 0.5),
        optimizer=ScheduledAdamW(vqgan, GENERATOR, STEPS),
        adversary=Adversary(config.loss.adversary, discriminator, DISCRIMINATOR, STEPS),
        compute=Compute(torch.device("cpu"), torch.float32),
        step=step,
    )


def rate_of(optimizer: torch.optim.Optimizer) -> float:
    """The learning rate of all parameters."""
    (rate,) = {group["lr"] for group in optimizer.param_groups}
    return rate


@pytest.fixture
def images(generator) -> Tensor:
    return torch.rand(2, 3, 8, 8, generator=generator) * 2 - 1


# Schedules


@pytest.mark.parametrize(
    ("step", "share"),
    [(0, 0.25), (3, 1.0), (12, 0.55), (20, 0.1)],  # up in 4 steps, then half a cosine down to 20
)
def test_learning_rate_follows_the_schedule(images, step, share):
    config = step_config()
    state = new_state(config, step)
    vqgan_step(state, images, config)
    assert rate_of(state.optimizer) == pytest.approx(share * 1e-3)


@pytest.mark.parametrize(("step", "share"), [(8, 0.25), (11, 1.0), (16, 0.55), (20, 0.1)])
def test_discriminator_has_a_schedule_of_its_own_from_its_start_on(images, step, share):
    """Of its own rate; up in the 4 steps after its start, then down in the 8 that are left."""
    config = step_config()
    state = new_state(config, step)
    vqgan_step(state, images, config)
    assert rate_of(state.adversary.optimizer) == pytest.approx(share * 4e-3)


def test_averaged_weights_follow_by_the_number_of_the_step(images):
    """After step 1 by a decay of (1 + 1) / (10 + 1), below the 0.5 that was asked for."""
    config = step_config()
    state = new_state(config, step=1)
    before = state.vqgan.decoder.conv_out.weight.detach().clone()
    vqgan_step(state, images, config)
    now = state.vqgan.decoder.conv_out.weight.detach()
    average = state.average.model.decoder.conv_out.weight
    torch.testing.assert_close(average, (2 * before + 9 * now) / 11)


@pytest.mark.parametrize("slowed", [False, True])
def test_a_remedy_halves_the_rate_of_the_discriminator(images, slowed):
    config = step_config()
    state = new_state(config, step=START + 3)
    if slowed:
        state.adversary.remedies.slow_discriminator()
    vqgan_step(state, images, config)
    assert rate_of(state.adversary.optimizer) == pytest.approx(4e-3 / (2 if slowed else 1))


# Optimizers


def test_each_network_is_clipped_to_its_own_norm(images):
    config = step_config()
    state = new_state(config, step=START)
    norms: dict[str, float] = {}

    def keep(name: str, optimizer: torch.optim.Optimizer) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = [p.grad.flatten() for p in parameters]
        norms[name] = torch.cat(gradients).norm().item()

    state.optimizer.register_step_pre_hook(lambda opt, *_: keep("generator", opt))
    state.adversary.optimizer.register_step_pre_hook(lambda opt, *_: keep("discriminator", opt))
    scalars = vqgan_step(state, images, config)
    assert scalars["gradient_norm"] > 0.5
    assert scalars["discriminator_gradient_norm"] > 0.01
    assert norms == {"generator": pytest.approx(0.5), "discriminator": pytest.approx(0.01)}


def test_adversary_is_built_with_the_optimizer_it_is_given():
    adversary = new_state(step_config(), step=0).adversary
    assert {group["betas"] for group in adversary.optimizer.param_groups} == {(0.5, 0.6)}
    assert rate_of(adversary.optimizer) == 4e-3


# Terms of the loss


def reconstruction_loss(images: Tensor, **weights: float) -> tuple[dict[str, Tensor], Tensor]:
    """The step's scalars, and the gradient at the last layer's bias."""
    config = step_config(**weights)
    state = new_state(config, step=0)
    bias = state.vqgan.decoder.conv_out.bias
    gradients: list[Tensor] = []
    bias.register_hook(lambda gradient: gradients.append(gradient.clone()))
    return vqgan_step(state, images, config), gradients[0]


def test_pixel_and_perceptual_loss_have_their_weights(images):
    scalars, _ = reconstruction_loss(images, pixel_weight=0.25, perceptual_weight=3.0)
    expected = 0.25 * scalars["pixel_loss"] + 3.0 * scalars["perceptual_loss"]
    torch.testing.assert_close(scalars["reconstruction_loss"], expected)


def test_perceptual_weight_scales_what_the_generator_learns(images):
    """The perceptual loss here is the mean of all values, a third of which is of each channel."""
    _, gradient = reconstruction_loss(images, pixel_weight=0.0, perceptual_weight=3.0)
    torch.testing.assert_close(gradient, torch.ones(3))


@pytest.mark.parametrize(("kind", "power"), [("l1", 1), ("l2", 2)])
def test_pixel_loss_is_the_one_asked_for(images, kind, power):
    config = step_config(pixel=kind)
    state = new_state(config, step=0)
    made: list[Tensor] = []
    state.vqgan.register_forward_hook(lambda *call: made.append(call[2].reconstructions))
    scalars = vqgan_step(state, images, config)
    expected = (images - made[0]).abs().pow(power).mean()
    torch.testing.assert_close(scalars["pixel_loss"], expected.detach())


def test_the_quantizers_entropy_loss_is_learned_from(images):
    gradients = []
    for weight in (0.0, 5.0):
        options = IBQConfig(sample_entropy_weight=0.0, batch_entropy_weight=weight)
        config = step_config(codebook_weight=0.0, commitment_weight=0.0)
        state = new_state(config, step=0, quantizer=options)
        state.vqgan.quantizer.codebook.weight.register_hook(gradients.append)
        vqgan_step(state, images, config)
    without, with_entropy = gradients
    assert not torch.allclose(without, with_entropy)


# The quantizer


def test_a_codebook_that_learns_by_averages_does_so_once_a_step(images):
    config = step_config(accumulation_steps=2)
    state = new_state(config, step=0, quantizer=EMAQuantizerConfig(restart_below=0))
    assert state.vqgan.quantizer.waits_for_start
    vqgan_step(state, images, config)
    assert not state.vqgan.quantizer.waits_for_start
    begun = state.vqgan.quantizer.codebook.clone()
    vqgan_step(state, images, config)
    assert int(state.vqgan.quantizer.steps) == 2
    assert not torch.equal(state.vqgan.quantizer.codebook, begun)
    assert torch.equal(state.average.model.quantizer.codebook, state.vqgan.quantizer.codebook)


def test_each_part_of_a_batch_is_drawn_alike_when_it_is_looked_at_and_when_it_is_learned(images):
    """For Eq. 7 all parts are looked at first, and codes are drawn at random."""
    adversary = AdversaryConfig(start=0, warmup=0, ramp=0)
    config = step_config(accumulation_steps=2, adversary=adversary)
    state = new_state(config, step=0, quantizer=GumbelQuantizerConfig())
    codes: list[Tensor] = []
    state.vqgan.quantizer.register_forward_hook(lambda *call: codes.append(call[2].codes))
    vqgan_step(state, images, config)
    looked_at, learned = codes[:2], codes[2:]
    assert all(map(torch.equal, looked_at, learned))
    assert not torch.equal(*codes[:2])


# What the LeCam penalty refers to


def test_averages_of_the_logits_follow_those_of_the_step(images):
    """A hundredth of the way from 0, real ones to real ones."""
    config = step_config()
    state = new_state(config, step=START)
    scalars = vqgan_step(state, images, config)
    averages, real, fake = state.adversary.averages, scalars["real_logits"], scalars["fake_logits"]
    assert not torch.allclose(real, fake)
    torch.testing.assert_close(averages.real, real / 100)
    torch.testing.assert_close(averages.fake, fake / 100)

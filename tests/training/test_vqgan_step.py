"""One step of stage 1: who learns when, and from what."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from smalti.compute import Compute
from smalti.losses.adversarial import ADVERSARIAL_LOSSES
from smalti.losses.build import choose_perceptual
from smalti.losses.config import PatchDiscriminatorConfig, PerceptualConfig
from smalti.losses.discriminator import PatchDiscriminator
from smalti.losses.reconstruction import PIXEL_LOSSES
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.config import VectorQuantizerConfig
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.config import OptimizerConfig
from smalti.training.ema import EMA
from smalti.training.optim import ScheduledAdamW
from smalti.training.vqgan.adversary import Adversary
from smalti.training.vqgan.config import AdversaryConfig, VQGANLossConfig
from smalti.training.vqgan.step import VQGANState, VQGANStepConfig, vqgan_step

SMALLEST = VQGANConfig(
    channels=32,
    channel_multipliers=(1, 1),
    residual_blocks=1,
    code_dim=8,
    codebook_size=16,
    quantizer=VectorQuantizerConfig(),
)
NEVER = 10_000
OPTIMIZER = OptimizerConfig(learning_rate=2e-3, warmup_steps=0)
FULL_FROM_0 = AdversaryConfig(start=0, warmup=0, ramp=0)
NOT_YET = AdversaryConfig(start=NEVER, warmup=0, ramp=0)
WARMING_UP = AdversaryConfig(start=0, warmup=5, ramp=0)


def step_config(
    adversary: AdversaryConfig = NOT_YET,
    accumulation_steps: int = 1,
    **loss: object,
) -> VQGANStepConfig:
    loss.setdefault("perceptual", PerceptualConfig(kind="none"))
    return VQGANStepConfig(
        loss=VQGANLossConfig(adversary=adversary, **loss),
        accumulation_steps=accumulation_steps,
    )


def new_state(
    config: VQGANStepConfig,
    dtype: torch.dtype = torch.float32,
    norm: str = "batch",
    steps: int = 100,
) -> VQGANState:
    """The same weights at every call, moved off their start so that no branch is silent."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vqgan = VQGAN(SMALLEST)
        with torch.no_grad():
            for parameter in vqgan.parameters():
                parameter += 0.02 * torch.randn_like(parameter)
        discriminator = PatchDiscriminator(PatchDiscriminatorConfig(filters=4, layers=1, norm=norm))
    return VQGANState(
        vqgan=vqgan,
        forward=vqgan,
        perceptual=choose_perceptual(config.loss.perceptual),
        average=EMA(vqgan, 0.5),
        optimizer=ScheduledAdamW(vqgan, OPTIMIZER, steps),
        adversary=Adversary(config.loss.adversary, discriminator, OPTIMIZER, steps),
        compute=Compute(torch.device("cpu"), dtype),
    )


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def moved(before: dict[str, Tensor], module: nn.Module) -> set[str]:
    """Names of the weights and buffers that differ from before."""
    return {name for name, t in module.state_dict().items() if not torch.equal(t, before[name])}


def keep_gradients(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """Filled with the gradients that the optimizer gets at its next step (clipped)."""
    gradients: dict[str, Tensor] = {}

    def keep(*_: object) -> None:
        gradients.update({name: p.grad.clone() for name, p in module.named_parameters()})

    optimizer.register_step_pre_hook(keep)
    return gradients


def count_calls(module: nn.Module) -> Callable[[], int]:
    calls = []
    module.register_forward_hook(lambda *_: calls.append(None))
    return lambda: len(calls)


@pytest.fixture
def images(generator) -> Tensor:
    return torch.rand(4, 3, 16, 16, generator=generator) * 2 - 1


# Who learns when


def test_discriminator_is_untouched_before_its_start(images):
    config = step_config(NOT_YET)
    state = new_state(config)
    before = weights(state.adversary.discriminator)
    calls = count_calls(state.adversary.discriminator)
    scalars = vqgan_step(state, images, config)
    assert moved(before, state.adversary.discriminator) == set()
    assert calls() == 0
    assert "discriminator_loss" not in scalars


def test_every_weight_of_the_generator_learns(images):
    """Only biases may get no gradient: a softmax or a norm behind them takes them out again."""
    config = step_config(NOT_YET)
    state = new_state(config)
    gradients = keep_gradients(state.optimizer, state.vqgan)
    vqgan_step(state, images, config)
    silent = {name for name, gradient in gradients.items() if gradient.abs().max() < 1e-8}
    assert all(name.endswith("bias") for name in silent)


def test_in_the_warm_up_only_the_discriminator_hears_of_the_game(images):
    with_game, without = step_config(WARMING_UP), step_config(NOT_YET)
    warming, alone = new_state(with_game), new_state(without)
    before = weights(warming.adversary.discriminator)
    scalars = vqgan_step(warming, images, with_game)
    vqgan_step(alone, images, without)
    assert {"stem.weight", "head.weight"} <= moved(before, warming.adversary.discriminator)
    assert "adversary_weight" not in scalars
    assert moved(weights(alone.vqgan), warming.vqgan) == set()


def test_at_full_weight_the_generator_hears_of_the_game(images):
    with_game, without = step_config(FULL_FROM_0), step_config(NOT_YET)
    playing, alone = new_state(with_game), new_state(without)
    vqgan_step(playing, images, with_game)
    vqgan_step(alone, images, without)
    assert "decoder.conv_out.weight" in moved(weights(alone.vqgan), playing.vqgan)


@pytest.mark.parametrize("kind", ["hinge", "log"])
def test_discriminator_learns_from_its_own_loss_only(images, kind):
    """Its gradients are those of the discriminator loss on cut-off reconstructions."""
    config = step_config(FULL_FROM_0.model_copy(update={"kind": kind, "lecam_weight": 0.0}))
    state = new_state(config)
    alone = copy.deepcopy(state.adversary.discriminator)
    with torch.no_grad():
        reconstructions = state.vqgan(images).reconstructions
    loss = ADVERSARIAL_LOSSES[kind].discriminator_loss(alone(images), alone(reconstructions))
    loss.backward()
    nn.utils.clip_grad_norm_(alone.parameters(), OPTIMIZER.clip_norm)

    gradients = keep_gradients(state.adversary.optimizer, state.adversary.discriminator)
    scalars = vqgan_step(state, images, config)

    torch.testing.assert_close(scalars["discriminator_loss"], loss.detach())
    for name, parameter in alone.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, msg=name)


def test_no_gradient_is_left_for_the_next_step(images):
    config = step_config(FULL_FROM_0)
    state = new_state(config)
    vqgan_step(state, images, config)
    networks = (state.vqgan, state.adversary.discriminator)
    assert all(p.grad is None for network in networks for p in network.parameters())


# What a step costs


@pytest.mark.parametrize(("adversary", "looks"), [(NOT_YET, 0), (WARMING_UP, 2), (FULL_FROM_0, 2)])
def test_one_autoencoder_pass_serves_both_updates(images, adversary, looks):
    config = step_config(adversary)
    state = new_state(config)
    encoder, decoder = count_calls(state.vqgan.encoder), count_calls(state.vqgan.decoder.conv_out)
    discriminator = count_calls(state.adversary.discriminator)
    vqgan_step(state, images, config)
    assert (encoder(), decoder(), discriminator()) == (1, 1, looks)


# What a step computes


def test_generator_gradient_is_that_of_the_weighted_sum(images):
    """Against one plain sum of all terms, differentiated in one go."""
    config = step_config(FULL_FROM_0, pixel_weight=0.7, codebook_weight=0.3, commitment_weight=0.2)
    state = new_state(config)
    gradients = keep_gradients(state.optimizer, state.vqgan)
    vqgan, discriminator = copy.deepcopy((state.vqgan, state.adversary.discriminator))
    scalars = vqgan_step(state, images, config)

    reconstructions, quantized, _ = vqgan(images)
    discriminator(images)
    loss = (
        0.7 * PIXEL_LOSSES["l1"](images, reconstructions).mean()
        + scalars["adversary_weight"] * -discriminator(reconstructions).mean()
        + 0.3 * quantized.codebook_loss
        + 0.2 * quantized.commitment_loss
    )
    loss.backward()
    nn.utils.clip_grad_norm_(vqgan.parameters(), OPTIMIZER.clip_norm)
    for name, parameter in vqgan.named_parameters():
        torch.testing.assert_close(
            gradients[name], parameter.grad, rtol=1e-4, atol=1e-6, msg=f"gradient of {name}"
        )


@pytest.mark.parametrize("adversary", [NOT_YET, WARMING_UP, FULL_FROM_0])
@pytest.mark.parametrize("batch", [4, 3])
def test_two_parts_of_a_batch_equal_the_whole(images, batch, adversary):
    """With a norm that does not look at the batch, and the adaptive weight of the whole batch."""
    adversary = adversary.model_copy(update={"lecam_weight": 0.1})
    whole, parts = step_config(adversary), step_config(adversary, accumulation_steps=2)
    results = []
    for config in (whole, parts):
        state = new_state(config, norm="spectral")
        gradients = keep_gradients(state.optimizer, state.vqgan)
        results.append((vqgan_step(state, images[:batch], config), gradients))
    (scalars, gradients), (scalars_of_parts, gradients_of_parts) = results
    torch.testing.assert_close(scalars_of_parts, scalars, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradients_of_parts, gradients, rtol=1e-4, atol=1e-6)


def test_a_discriminator_that_says_nothing_gives_finite_gradients(images):
    """With a head of zeros the generator loss has no gradient, and Eq. 7 divides by delta alone."""
    config = step_config(FULL_FROM_0)
    state = new_state(config)
    nn.init.zeros_(state.adversary.discriminator.head.weight)
    before = weights(state.vqgan)
    scalars = vqgan_step(state, images, config)
    adaptive = config.loss.adversary.adaptive
    limit = adaptive.factor * adaptive.max_weight * config.loss.adversary.weight
    assert scalars["adversary_weight"] == pytest.approx(limit)
    assert all(value.isfinite() for value in scalars.values())
    assert all(tensor.isfinite().all() for tensor in state.vqgan.state_dict().values())
    assert moved(before, state.vqgan)


def test_weight_of_the_adversary_follows_the_ramp(images):
    adversary = AdversaryConfig(start=0, warmup=0, ramp=3)
    ramped, full = step_config(adversary), step_config(FULL_FROM_0)
    at_start = vqgan_step(new_state(ramped), images, ramped)["adversary_weight"]
    at_full = vqgan_step(new_state(full), images, full)["adversary_weight"]
    torch.testing.assert_close(at_start, at_full / 4)


def test_scalars_carry_no_graph_and_the_step_counts(images):
    config = step_config(FULL_FROM_0)
    state = new_state(config)
    scalars = vqgan_step(state, images, config)
    assert not any(value.requires_grad for value in scalars.values())
    assert state.step == 1


def test_average_follows_the_weights(images):
    config = step_config()
    state = new_state(config)
    start = state.vqgan.decoder.conv_out.bias.detach().clone()
    vqgan_step(state, images, config)
    now = state.vqgan.decoder.conv_out.bias.detach()
    # The decay of step 0 is (1 + 0) / (10 + 0).
    average = state.average.model.decoder.conv_out.bias
    torch.testing.assert_close(average, 0.1 * start + 0.9 * now)


def test_bfloat16_step_keeps_weights_and_losses_in_float32(images):
    config = step_config(FULL_FROM_0)
    state = new_state(config, dtype=torch.bfloat16)
    exact = vqgan_step(new_state(config), images, config)
    scalars = vqgan_step(state, images, config)
    assert {t.dtype for t in state.vqgan.state_dict().values()} == {torch.float32}
    assert {value.dtype for value in scalars.values()} == {torch.float32}
    for name in ("reconstruction_loss", "discriminator_loss", "adaptive_weight"):
        torch.testing.assert_close(scalars[name], exact[name], rtol=0.1, atol=0.02, msg=name)


def test_overfits_eight_images(generator):
    """Flat patches of colour, 8 images: the pixel error falls to a fifth within 60 steps."""
    colours = torch.rand(8, 3, 2, 2, generator=generator) * 2 - 1
    images = nn.functional.interpolate(colours, scale_factor=4.0)
    config = step_config()
    state = new_state(config, steps=60)
    losses = [vqgan_step(state, images, config)["pixel_loss"] for _ in range(60)]
    assert losses[-1] < losses[0] / 5

"""The adversary of stage 1 in numbers that fit on a page: a discriminator of one weight."""

from typing import Any

import pytest
import torch
from torch import nn

from smalti.losses.config import AdaptiveWeightConfig
from smalti.losses.discriminator import Judgement
from smalti.training.config import OptimizerConfig
from smalti.training.vqgan.adversary import Adversary
from smalti.training.vqgan.config import AdversaryConfig


def adversary(**config: Any) -> Adversary:
    """Of a discriminator with the single weight 1; at full weight from step 0 on."""
    values = AdversaryConfig(**({"start": 0, "warmup": 0, "ramp": 0} | config))
    discriminator = nn.Linear(1, 1, bias=False)
    nn.init.ones_(discriminator.weight)
    return Adversary(values, discriminator, OptimizerConfig(), total_steps=100)


def judgement(game: Adversary, real: float, fake: float) -> Judgement:
    """Logits `real` and `fake`, times the discriminator's weight."""
    weight = game.discriminator.weight.view(1, 1, 1, 1)
    return Judgement(real * weight, fake * weight)


# The discriminator's side


def test_discriminator_learns_from_the_hinge_loss():
    """Real 0.5 is below 1, fake -3 is below -1: half of the slope -0.5 is left."""
    game = adversary(lecam_weight=0.0)
    scalars = game.discriminator_backward(judgement(game, real=0.5, fake=-3.0), fraction=1.0)
    assert scalars["discriminator_loss"].item() == pytest.approx(0.25)
    assert game.discriminator.weight.grad.item() == pytest.approx(-0.25)
    assert "lecam_penalty" not in scalars


def test_discriminator_learns_from_the_lecam_penalty():
    """Real 3 and fake -2 satisfy the hinge. Real is 2 above the fakes' average of 1, fake 2.5 below
    that of the real ones: 4 + 6.25, whose slope is 2 * 2 * 3 + 2 * 2.5 * 2."""
    game = adversary(lecam_weight=0.1)
    game.averages.real.fill_(0.5)
    game.averages.fake.fill_(1.0)
    scalars = game.discriminator_backward(judgement(game, real=3.0, fake=-2.0), fraction=1.0)
    assert scalars["discriminator_loss"].item() == 0
    assert scalars["lecam_penalty"].item() == pytest.approx(10.25)
    assert game.discriminator.weight.grad.item() == pytest.approx(0.1 * 22)


def test_a_part_of_a_batch_counts_as_its_share():
    game = adversary(lecam_weight=0.0)
    game.discriminator_backward(judgement(game, real=0.5, fake=-3.0), fraction=0.25)
    game.discriminator_backward(judgement(game, real=0.5, fake=-3.0), fraction=0.75)
    assert game.discriminator.weight.grad.item() == pytest.approx(-0.25)


def test_accuracies_are_shares_of_patches_judged_right():
    game = adversary(lecam_weight=0.0)
    weight = game.discriminator.weight.view(1, 1, 1, 1)
    real, fake = (torch.tensor(row).view(1, 1, 1, -1) for row in ([3.0, -1.0], [-2.0, -1.0, 5.0]))
    scalars = game.discriminator_backward(Judgement(real * weight, fake * weight), fraction=1.0)
    assert scalars["real_accuracy"].item() == pytest.approx(1 / 2)
    assert scalars["fake_accuracy"].item() == pytest.approx(2 / 3)
    assert scalars["real_logits"].item() == pytest.approx(1.0)
    assert scalars["fake_logits"].item() == pytest.approx(2 / 3)


# The generator's side


@pytest.mark.parametrize(("kind", "slope"), [("hinge", -1.0), ("auto", -1.0), ("log", -0.5)])
def test_generator_is_pulled_towards_what_passes_for_real(kind, slope):
    """At a logit of 0, where the log form has half the slope of the hinge form."""
    surface = torch.zeros(1, 1, 1, 1, requires_grad=True)
    gradient = adversary(kind=kind).generator_gradient(Judgement(surface, surface), surface)
    assert gradient.item() == pytest.approx(slope)


def weight_of(game: Adversary, step: int = 0) -> float:
    """The generator loss's weight where the gradients have the norms 5 and 2."""
    sides = torch.tensor([[3.0, 4.0], [0.0, -2.0]])
    return game.generator_weight(sides, step)["adversary_weight"].item()


def test_weight_is_that_of_equation_7():
    """Weight 0.5, factor 0.8, and 5 / (2 + 0.5)."""
    adaptive = AdaptiveWeightConfig(delta=0.5, factor=0.8)
    game = adversary(weight=0.5, adaptive=adaptive)
    assert weight_of(game) == pytest.approx(0.5 * 0.8 * 2.0)


def test_weight_is_cut_off_before_its_factor():
    adaptive = AdaptiveWeightConfig(delta=0.5, factor=0.8, max_weight=1.5)
    game = adversary(weight=0.5, adaptive=adaptive)
    assert weight_of(game) == pytest.approx(0.5 * 0.8 * 1.5)


def test_fixed_weight_looks_at_no_gradient():
    assert weight_of(adversary(weight=0.5, weighing="fixed")) == pytest.approx(0.5)


@pytest.mark.parametrize("weighing", ["adaptive", "fixed"])
def test_ramp_and_remedy_multiply_the_weight(weighing):
    """A quarter of the way up a ramp of three steps, and once halved by a remedy."""
    game = adversary(weighing=weighing, ramp=3)
    healthy_and_full = weight_of(game, step=3)
    game.remedies.soften_adversary()
    assert weight_of(game, step=0) == pytest.approx(healthy_and_full / 4 / 2)


def test_gradient_norms_are_told_apart():
    sides = torch.tensor([[3.0, 4.0], [0.0, -2.0]])
    scalars = adversary().generator_weight(sides, step=0)
    assert scalars["reconstruction_gradient_norm"].item() == pytest.approx(5.0)
    assert scalars["generator_gradient_norm"].item() == pytest.approx(2.0)

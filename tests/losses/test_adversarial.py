import math
from typing import get_args

import pytest
import torch
from torch import nn

from smalti.losses.adversarial import (
    ADVERSARIAL_LOSSES,
    AdversarialKind,
    LogitAverages,
    adaptive_weight,
    hinge_discriminator_loss,
    hinge_generator_loss,
    last_layer_gradient,
    lecam_penalty,
    log_discriminator_loss,
    log_generator_loss,
)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_hinge_discriminator_loss_by_hand():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.25])
    # real: 0 and 0.5; fake: 0 and 1.25
    assert hinge_discriminator_loss(real, fake).item() == pytest.approx(0.5 * (0.25 + 0.625))


def test_hinge_generator_loss_is_the_negative_mean_logit():
    assert hinge_generator_loss(torch.tensor([1.0, -4.0])).item() == 1.5


def test_log_discriminator_loss_is_half_of_equation_5():
    real, fake = torch.tensor([0.7]), torch.tensor([-1.3])
    equation_5 = math.log(sigmoid(0.7)) + math.log(1 - sigmoid(-1.3))
    assert log_discriminator_loss(real, fake).item() == pytest.approx(-0.5 * equation_5)


def test_log_generator_loss_by_hand():
    assert log_generator_loss(torch.tensor([0.7])).item() == pytest.approx(-math.log(sigmoid(0.7)))


def test_log_losses_stay_finite_where_the_probability_rounds_to_zero():
    far = torch.tensor([200.0])
    assert log_discriminator_loss(-far, far).item() == 200.0
    assert log_generator_loss(-far).item() == 200.0


def test_log_generator_keeps_its_gradient_when_the_discriminator_wins():
    logits = torch.tensor([-50.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(log_generator_loss(logits), logits)
    assert gradient.item() == pytest.approx(-1.0)


@pytest.mark.parametrize("kind", get_args(AdversarialKind))
def test_both_sides_of_each_form_pull_against_each_other(kind):
    form = ADVERSARIAL_LOSSES[kind]
    fake = torch.zeros(4, requires_grad=True)
    (against,) = torch.autograd.grad(form.discriminator_loss(torch.zeros(4), fake), fake)
    (towards,) = torch.autograd.grad(form.generator_loss(fake), fake)
    assert (against > 0).all()
    assert (towards < 0).all()


def test_adaptive_weight_of_a_linear_model_by_hand():
    weight = torch.tensor([1.0, 2.0], requires_grad=True)
    (reconstruction,) = torch.autograd.grad(weight @ torch.tensor([3.0, 4.0]), weight)  # norm 5
    (generator,) = torch.autograd.grad(weight @ torch.tensor([0.0, -2.0]), weight)  # norm 2
    assert adaptive_weight(reconstruction, generator, 0.5, 1e4).item() == pytest.approx(5 / 2.5)


def test_adaptive_weight_is_cut_off_without_a_generator_gradient():
    weight = adaptive_weight(torch.ones(3), torch.zeros(3), delta=1e-6, max_weight=1e4)
    assert weight.item() == 1e4


def test_adaptive_weight_of_two_zero_gradients_is_zero():
    assert adaptive_weight(torch.zeros(3), torch.zeros(3), 1e-6, 1e4).item() == 0.0


def test_adaptive_weight_of_half_precision_gradients_is_computed_in_float32():
    # Squared, these gradients are 0 in float16.
    small = torch.full((100,), 1e-5, dtype=torch.float16)
    weight = adaptive_weight(2 * small, small, delta=1e-9, max_weight=1e4)
    assert weight.dtype == torch.float32
    assert weight.item() == pytest.approx(2.0, rel=1e-2)


@pytest.mark.parametrize("autocast", [False, True])
def test_last_layer_gradient_equals_autograd(autocast, generator):
    layer = nn.Conv2d(5, 3, 3, padding=1)
    features = torch.randn(2, 5, 7, 9, generator=generator)
    target = torch.randn(2, 3, 7, 9, generator=generator)
    output = layer(features)
    loss = (output - target).square().mean()
    (expected,) = torch.autograd.grad(loss, layer.weight, retain_graph=True)
    (output_gradient,) = torch.autograd.grad(loss, output)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        gradient = last_layer_gradient(features, output_gradient, layer.weight)
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-7)


def test_last_layer_gradient_of_half_precision_is_float32(generator):
    features = torch.randn(1, 4, 6, 6, generator=generator).bfloat16()
    output_gradient = torch.randn(1, 3, 6, 6, generator=generator).bfloat16()
    gradient = last_layer_gradient(features, output_gradient, torch.empty(3, 4, 3, 3))
    assert gradient.dtype == torch.float32


def test_lecam_penalty_by_hand():
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.0, 1.0])
    penalty = lecam_penalty(real, fake, torch.tensor(0.5), torch.tensor(-0.5))
    # Real above -0.5 by 2.5 and not at all; fake below 0.5 by 0.5 and not at all.
    assert penalty.item() == pytest.approx(6.25 / 2 + 0.25 / 2)


def test_lecam_penalty_draws_both_sides_together():
    logits = torch.tensor([3.0, -3.0], requires_grad=True)
    lecam_penalty(logits[:1], logits[1:], torch.tensor(3.0), torch.tensor(-3.0)).backward()
    assert logits.grad[0] > 0 > logits.grad[1]


def test_logit_averages_follow_slowly():
    averages = LogitAverages()
    averages.update(torch.tensor(1.0), torch.tensor(-2.0))
    assert averages.real.item() == pytest.approx(0.01)
    assert averages.fake.item() == pytest.approx(-0.02)

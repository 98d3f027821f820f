"""Our losses give the numbers of the released code, recorded in the oracle."""

import pytest
import torch

from helpers.released_losses import (
    import_discriminator,
    import_lpips_heads,
    name_discriminator,
)
from smalti.losses.adversarial import (
    adaptive_weight,
    hinge_discriminator_loss,
    hinge_generator_loss,
    log_discriminator_loss,
)
from smalti.losses.config import PatchDiscriminatorConfig
from smalti.losses.discriminator import PatchDiscriminator
from smalti.losses.lpips import ImageScaling


def assert_like_the_oracle(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors under a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


@pytest.fixture
def oracle(oracle_tensors) -> dict[str, torch.Tensor]:
    return oracle_tensors("discriminator_loss_tiny")


@pytest.fixture
def discriminator(oracle) -> PatchDiscriminator:
    return import_discriminator(below(oracle, "sd.")).eval()


@pytest.fixture
def lpips_oracle(oracle_tensors) -> dict[str, torch.Tensor]:
    return oracle_tensors("lpips_head")


def test_shape_of_the_discriminator_follows_from_its_tensors(discriminator):
    assert discriminator.config == PatchDiscriminatorConfig(filters=16, layers=2)


@pytest.mark.parametrize("which", ["real", "fake"])
def test_logits_equal_the_oracles(discriminator, oracle, which):
    assert_like_the_oracle(discriminator(oracle[f"in.{which}"]), oracle[f"eval.logits_{which}"])


def test_discriminator_and_generator_losses_equal_the_oracles(oracle):
    real, fake = oracle["eval.logits_real"], oracle["eval.logits_fake"]
    assert_like_the_oracle(hinge_discriminator_loss(real, fake), oracle["eval.hinge_d_loss"])
    assert_like_the_oracle(log_discriminator_loss(real, fake), oracle["eval.vanilla_d_loss"])
    assert_like_the_oracle(hinge_generator_loss(fake), oracle["eval.g_loss"])


def test_gradients_of_the_hinge_loss_equal_the_oracles(discriminator, oracle):
    loss = hinge_discriminator_loss(
        discriminator(oracle["in.real"]), discriminator(oracle["in.fake"])
    )
    first, last = torch.autograd.grad(loss, [discriminator.stem.weight, discriminator.head.weight])
    assert_like_the_oracle(first, oracle["grad_hinge.main.0.weight"])
    assert_like_the_oracle(last, oracle["grad_hinge.main.8.weight"])


def test_training_logits_and_running_statistics_equal_the_oracles(discriminator, oracle):
    discriminator.train()
    assert_like_the_oracle(discriminator(oracle["in.real"]), oracle["train.logits_real_first"])
    assert_like_the_oracle(discriminator(oracle["in.fake"]), oracle["train.logits_fake_second"])
    expected = name_discriminator(below(oracle, "train.sd_after."), layers=2)
    assert expected
    for name, tensor in expected.items():
        assert_like_the_oracle(discriminator.state_dict()[name], tensor)


@pytest.mark.parametrize("weighting", ["legacy_true", "legacy_false"])
def test_adaptive_weight_equals_the_oracles(oracle, weighting):
    full = below(oracle, f"full_{weighting}.")
    weight = adaptive_weight(
        full["grad_nll_last_layer"], full["grad_g_last_layer"], delta=1e-4, max_weight=1e4
    )
    assert_like_the_oracle(0.8 * weight, full["d_weight"])


def test_lpips_distance_of_features_equals_the_oracles(lpips_oracle):
    heads = import_lpips_heads(below(lpips_oracle, "sd."))
    real = [lpips_oracle[f"in.feat0_{stage}"] for stage in range(5)]
    fake = [lpips_oracle[f"in.feat1_{stage}"] for stage in range(5)]
    assert_like_the_oracle(heads(real, fake), lpips_oracle["out.distance"].flatten())


def test_lpips_scaling_of_images_equals_the_oracles(lpips_oracle):
    assert_like_the_oracle(ImageScaling()(lpips_oracle["in.img"]), lpips_oracle["out.scaled_img"])

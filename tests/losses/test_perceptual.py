"""The contract of every perceptual loss, and the choice among them."""

import pytest
import torch

from smalti.config import InputError
from smalti.losses.build import choose_perceptual
from smalti.losses.config import PerceptualConfig
from smalti.losses.perceptual import PERCEPTUAL_LOSSES, PerceptualLoss, unit_length
from smalti.losses.vgg import VGG_VARIABLE

ALL_KINDS = sorted(PERCEPTUAL_LOSSES)
NETWORKS = [kind for kind in ALL_KINDS if kind != "none"]


@pytest.fixture(autouse=True)
def nothing_at_hand(monkeypatch, tmp_path):
    """No VGG weights but those a test names."""
    monkeypatch.delenv(VGG_VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture(scope="module")
def losses(vgg_file) -> dict[str, PerceptualLoss]:
    config = PerceptualConfig(vgg_weights=vgg_file)
    return {kind: PERCEPTUAL_LOSSES[kind](config) for kind in ALL_KINDS}


def images_of(seed: int, batch: int = 2, height: int = 32, width: int = 48) -> torch.Tensor:
    return (
        torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    )


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_gives_one_float32_distance_an_image(losses, kind):
    distances = losses[kind](images_of(0), images_of(1))
    assert distances.shape == (2,)
    assert distances.dtype == torch.float32
    assert (distances > 0).all() or kind == "none"


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("fill", ["random", "black", "grey"])
def test_equal_images_have_distance_zero_and_a_finite_gradient(losses, kind, fill):
    images = {"random": images_of(0), "black": -torch.ones(1, 3, 32, 32)}.get(
        fill, torch.zeros(1, 3, 32, 32)
    )
    reconstructions = images.clone().requires_grad_()
    distances = losses[kind](images, reconstructions)
    (gradient,) = torch.autograd.grad(distances.sum(), reconstructions)
    torch.testing.assert_close(distances, torch.zeros(len(images)), rtol=0, atol=1e-6)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("kind", NETWORKS)
def test_gradient_reaches_the_reconstruction_only(losses, kind):
    images = images_of(0).requires_grad_()
    reconstructions = images_of(1).requires_grad_()
    losses[kind](images, reconstructions).sum().backward()
    assert reconstructions.grad.abs().sum() > 0
    assert images.grad is None
    assert not any(p.requires_grad for p in losses[kind].parameters())


@pytest.mark.parametrize("kind", NETWORKS)
def test_autocast_changes_nothing(losses, kind):
    images, reconstructions = images_of(0), images_of(1)
    expected = losses[kind](images, reconstructions)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(losses[kind](images, reconstructions), expected)


@pytest.mark.parametrize("kind", NETWORKS)
def test_training_mode_changes_nothing(losses, kind):
    images, reconstructions = images_of(0), images_of(1)
    expected = losses[kind].eval()(images, reconstructions)
    assert torch.equal(losses[kind].train()(images, reconstructions), expected)


@pytest.mark.parametrize("kind", NETWORKS)
def test_an_image_is_judged_without_the_rest_of_its_batch(losses, kind):
    images, reconstructions = images_of(0), images_of(1)
    together = losses[kind](images, reconstructions)
    alone = losses[kind](images[1:], reconstructions[1:])
    torch.testing.assert_close(together[1:], alone)


@pytest.mark.parametrize("kind", NETWORKS)
def test_too_small_an_image_is_refused_with_the_smallest_size(losses, kind):
    smallest = losses[kind].smallest_px
    images = images_of(0, height=smallest, width=smallest)
    assert losses[kind](images, images).isfinite().all()
    too_small = images[..., 1:]
    with pytest.raises(InputError, match=f"at least {smallest}x{smallest}"):
        losses[kind](too_small, too_small)


def test_unit_length_has_a_finite_gradient_at_zero():
    features = torch.zeros(1, 3, 2, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(unit_length(features).sum(), features)
    assert gradient.isfinite().all()


def test_auto_takes_efficientnet_where_no_vgg_weights_are_at_hand():
    loss = choose_perceptual(PerceptualConfig())
    assert loss.name == "EfficientNet-Lite0"


def test_none_needs_no_network():
    loss = choose_perceptual(PerceptualConfig(kind="none"))
    assert loss.name == "none"
    assert not list(loss.parameters())


def test_every_registered_kind_can_be_named_in_a_config():
    assert {PerceptualConfig(kind=kind).kind for kind in ALL_KINDS} == {*ALL_KINDS}

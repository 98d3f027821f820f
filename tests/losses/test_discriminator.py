import pytest
import torch
from torch import nn

from smalti.config import InputError
from smalti.losses import discriminator
from smalti.losses.config import PatchDiscriminatorConfig
from smalti.losses.discriminator import GlobalBatchNorm, Judge, PatchDiscriminator


def small(layers: int) -> PatchDiscriminator:
    return PatchDiscriminator(PatchDiscriminatorConfig(filters=4, layers=layers)).eval()


def test_has_the_released_number_of_parameters():
    discriminator = PatchDiscriminator(PatchDiscriminatorConfig())
    assert sum(p.numel() for p in discriminator.parameters()) == 2_765_633


@pytest.mark.parametrize(("layers", "field_px"), [(1, 16), (2, 34), (3, 70)])
def test_one_logit_sees_exactly_its_patch(layers, field_px):
    size = 3 * field_px
    images = torch.randn(1, 3, size, size, requires_grad=True)
    logits = small(layers).double()(images.double())
    middle = logits.shape[-1] // 2
    (gradient,) = torch.autograd.grad(logits[0, 0, middle, middle], images)
    rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
    columns = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
    assert rows[-1] - rows[0] + 1 == field_px
    assert columns[-1] - columns[0] + 1 == field_px


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_smallest_image_has_one_patch_and_a_smaller_one_is_refused(layers):
    discriminator = small(layers)
    smallest = discriminator.config.smallest_px
    assert discriminator(torch.zeros(1, 3, smallest, smallest)).shape == (1, 1, 1, 1)
    with pytest.raises(
        InputError, match=f"at least {smallest}x{smallest}.*{smallest}x{smallest - 1}"
    ):
        discriminator(torch.zeros(1, 3, smallest, smallest - 1))


def test_non_square_images_give_a_grid_of_their_shape():
    assert small(2)(torch.zeros(2, 3, 32, 48)).shape == (2, 1, 6, 10)


def test_channels_stop_growing_at_eight_times_the_first():
    discriminator = small(5)
    assert discriminator.head.in_channels == 8 * 4


def test_starts_with_the_spread_of_pix2pix():
    discriminator = PatchDiscriminator(PatchDiscriminatorConfig())
    convolution = discriminator.blocks[-1].conv.weight
    scale = discriminator.blocks[-1].norm.weight
    assert convolution.std().item() == pytest.approx(0.02, rel=0.01)
    assert scale.mean().item() == pytest.approx(1.0, abs=0.01)
    assert scale.std().item() == pytest.approx(0.02, rel=0.2)


def test_spectral_norm_holds_each_convolution_to_a_gain_of_one():
    config = PatchDiscriminatorConfig(filters=8, layers=2, norm="spectral")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        discriminator = PatchDiscriminator(config)
    for _ in range(200):  # the power iteration runs once a forward pass
        discriminator(torch.zeros(1, 3, 16, 16))
    discriminator.eval()
    convolutions = [m for m in discriminator.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 4
    for convolution in convolutions:
        gain = torch.linalg.matrix_norm(convolution.weight.flatten(1), ord=2)
        assert gain.item() == pytest.approx(1.0, abs=0.02)


def test_spectral_norm_judges_each_image_alone(generator):
    config = PatchDiscriminatorConfig(filters=4, layers=1, norm="spectral")
    discriminator = PatchDiscriminator(config)
    images = torch.randn(4, 3, 16, 16, generator=generator)
    with torch.nn.utils.parametrize.cached():
        together, alone = discriminator(images), discriminator(images[:1])
    torch.testing.assert_close(alone, together[:1])


def test_images_of_one_channel_are_judged():
    discriminator = PatchDiscriminator(PatchDiscriminatorConfig(filters=4, layers=1), channels=1)
    assert discriminator(torch.zeros(2, 1, 16, 16)).shape == (2, 1, 6, 6)


def test_judge_normalizes_each_side_by_its_own_statistics(generator):
    discriminator = PatchDiscriminator(PatchDiscriminatorConfig(filters=4, layers=1))
    images = torch.randn(4, 3, 16, 16, generator=generator)
    reconstructions = 5 + 3 * torch.randn(4, 3, 16, 16, generator=generator)
    judgement = Judge(discriminator)(images, reconstructions)
    torch.testing.assert_close(judgement.real_logits, discriminator(images))
    torch.testing.assert_close(judgement.fake_logits, discriminator(reconstructions))


def test_batch_norm_of_several_processes_is_batch_norm(monkeypatch, generator):
    """Far from 0 too, where the difference of squares would lose the variance."""
    ours, theirs = GlobalBatchNorm(3), nn.BatchNorm2d(3)
    monkeypatch.setattr(discriminator, "is_distributed", lambda: True)  # of one process
    features = 300 + torch.randn(4, 3, 5, 5, generator=generator, requires_grad=True)
    weights = torch.randn(4, 3, 5, 5, generator=generator)
    normalized, expected = ours(features), theirs(features)
    torch.testing.assert_close(normalized, expected, rtol=1e-4, atol=1e-4)
    ours_gradient = torch.autograd.grad((normalized * weights).sum(), features)
    theirs_gradient = torch.autograd.grad((expected * weights).sum(), features)
    torch.testing.assert_close(ours_gradient, theirs_gradient, rtol=1e-3, atol=1e-4)
    for name, running in theirs.named_buffers():
        torch.testing.assert_close(ours.get_buffer(name), running)


def test_batch_norm_of_even_features_is_finite(monkeypatch):
    monkeypatch.setattr(discriminator, "is_distributed", lambda: True)
    assert not GlobalBatchNorm(2)(torch.full((4, 2, 5, 5), 1234.567)).any()

import pytest
import skimage.data
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter

from smalti.losses.config import PerceptualConfig
from smalti.losses.efficientnet_losses import (
    DEPTHS,
    EfficientNetLogitsLoss,
    EfficientNetPerceptualLoss,
)
from smalti.ranges import from_pil


@pytest.fixture(scope="module")
def perceptual() -> EfficientNetPerceptualLoss:
    return EfficientNetPerceptualLoss(PerceptualConfig())


def with_logits(weight: float) -> EfficientNetLogitsLoss:
    return EfficientNetLogitsLoss(PerceptualConfig(logit_weight=weight))


def photograph(name: str) -> Image.Image:
    return Image.fromarray(getattr(skimage.data, name)())


def crop(name: str, size: int) -> Image.Image:
    picture = photograph(name)
    left, top = (picture.width - size) // 2, (picture.height - size) // 2
    return picture.crop((left, top, left + size, top + size))


@pytest.mark.parametrize("name", ["chelsea", "coffee", "astronaut"])
def test_distance_grows_with_blur(perceptual, name):
    sharp = crop(name, 64)
    images = [from_pil(sharp.filter(ImageFilter.GaussianBlur(r))) for r in (0, 0.5, 1, 2, 4)]
    distances = perceptual(images[0].expand(5, -1, -1, -1), torch.stack(images))
    assert (distances.diff() > 0.005).all()


@pytest.mark.parametrize("name", ["chelsea", "coffee", "astronaut"])
def test_distance_grows_with_noise(perceptual, name, generator):
    image = from_pil(crop(name, 64))
    noise = torch.randn(image.shape, generator=generator)
    noisy = torch.stack([image + scale * noise for scale in (0.0, 0.05, 0.1, 0.2, 0.4)])
    distances = perceptual(image.expand(5, -1, -1, -1), noisy)
    assert (distances.diff() > 0.01).all()


def test_blur_is_worse_than_the_same_squared_error_in_brightness(perceptual):
    picture = crop("chelsea", 64)
    image, blurred = from_pil(picture), from_pil(picture.filter(ImageFilter.GaussianBlur(1)))
    shifted = image + (image - blurred).square().mean().sqrt()
    blur, shift = perceptual(image.expand(2, -1, -1, -1), torch.stack([blurred, shifted]))
    assert blur > 2 * shift


def test_following_the_gradient_restores_a_photograph_without_a_grid(perceptual):
    """Seen at its own size instead of enlarged, it ends 5 dB lower, in coloured dots."""
    image = from_pil(crop("coffee", 32))[None]
    blocky = F.interpolate(F.avg_pool2d(image, 4), scale_factor=4)
    restored = blocky.clone().requires_grad_()
    optimizer = torch.optim.Adam([restored], lr=0.05)
    for _ in range(80):
        optimizer.zero_grad()
        perceptual(image, restored).sum().backward()
        optimizer.step()
    assert F.mse_loss(restored, image) < F.mse_loss(blocky, image)


def test_smallest_image_leaves_more_than_one_position_at_the_last_stage(perceptual):
    side = 2 * perceptual.smallest_px
    maps = perceptual.network.features(torch.zeros(1, 3, side, side), DEPTHS)
    assert maps[-1].shape[-2:] == (2, 2)


def test_logits_without_weight_leave_the_feature_distance(perceptual):
    sharp = crop("coffee", 48)
    image = from_pil(sharp)[None]
    blurred = from_pil(sharp.filter(ImageFilter.GaussianBlur(1)))[None]
    torch.testing.assert_close(with_logits(0.0)(image, blurred), perceptual(image, blurred))


def test_logits_add_their_weighted_mean_squared_difference(perceptual):
    sharp = crop("coffee", 48)
    image = from_pil(sharp)[None]
    blurred = from_pil(sharp.filter(ImageFilter.GaussianBlur(1)))[None]
    logits = [
        perceptual.network(F.interpolate(seen, (96, 96), mode="bilinear"))
        for seen in (image, blurred)
    ]
    added = with_logits(0.25)(image, blurred) - perceptual(image, blurred)
    torch.testing.assert_close(added, 0.25 * F.mse_loss(*logits)[None], rtol=1e-3, atol=1e-5)


def test_logits_reach_every_pixel(perceptual):
    """The features of one corner see that corner only; the scores are of the whole image."""
    image = from_pil(crop("chelsea", 64))[None]
    other = image.clone()
    other[..., :8, :8] = 0.0
    other.requires_grad_()

    def far_pull(loss: torch.nn.Module) -> float:
        (gradient,) = torch.autograd.grad(loss(image, other).sum(), other)
        return gradient[..., 56:, 56:].abs().sum().item()

    assert far_pull(with_logits(1.0)) > 100 * far_pull(perceptual)

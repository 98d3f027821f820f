import pytest
import skimage.data
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter

from smalti.losses.efficientnet import EfficientNetPerceptualLoss, load_efficientnet
from smalti.losses.perceptual import PerceptualConfig
from smalti.ranges import from_pil


@pytest.fixture(scope="module")
def perceptual() -> EfficientNetPerceptualLoss:
    return EfficientNetPerceptualLoss(PerceptualConfig())


def photograph(name: str) -> Image.Image:
    return Image.fromarray(getattr(skimage.data, name)())


def crop(name: str, size: int) -> Image.Image:
    picture = photograph(name)
    left, top = (picture.width - size) // 2, (picture.height - size) // 2
    return picture.crop((left, top, left + size, top + size))


@pytest.mark.parametrize(
    ("name", "classes"),
    [("chelsea", range(281, 286)), ("coffee", range(967, 969))],  # cats; espresso and cup
)
def test_classifies_photographs_as_imagenet_does(name, classes):
    side = min(photograph(name).size)
    image = from_pil(crop(name, side).resize((224, 224), Image.Resampling.BICUBIC))
    probabilities = load_efficientnet()(image[None]).softmax(1)[0]
    assert probabilities.argmax().item() in classes
    assert sum(probabilities[c].item() for c in classes) > 0.8


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
    maps = perceptual.network.features(torch.zeros(1, 3, side, side), perceptual.depths)
    assert maps[-1].shape[-2:] == (2, 2)


@pytest.mark.parametrize(("size", "before", "after"), [(8, 0, 1), (9, 1, 1)])
def test_strided_convolutions_pad_as_the_weights_were_trained(perceptual, size, before, after):
    stem = perceptual.network.stem
    image = torch.rand(1, 3, size, size)
    padded = F.pad(image, (before, after, before, after))
    expected = F.conv2d(padded, stem.weight, stem.bias, stride=2)
    torch.testing.assert_close(stem(image), expected)

import numpy as np
import pytest
import skimage.data
import torch
from skimage.metrics import structural_similarity

from smalti.config import InputError
from smalti.metrics.reconstruction import psnr, ssim
from smalti.ranges import from_uint8


@pytest.fixture
def photograph() -> torch.Tensor:
    pixels = skimage.data.astronaut()[100:164, 200:280]
    return from_uint8(torch.from_numpy(pixels.copy()).permute(2, 0, 1))[None]


def test_psnr_by_hand():
    images = torch.zeros(2, 3, 4, 4)
    reconstructions = torch.stack([images[0] + 0.2, images[1] + 0.02])
    # 20 log10(2 / error)
    torch.testing.assert_close(psnr(images, reconstructions), torch.tensor([20.0, 40.0]))


def test_psnr_of_equal_images_is_that_of_rounding_to_8_bits(photograph, generator):
    unrounded = 2 * torch.rand(1, 3, 256, 256, generator=generator) - 1
    rounded = from_uint8(((unrounded + 1) * 127.5).round().to(torch.uint8)[0])[None]
    assert psnr(photograph, photograph).item() == pytest.approx(58.92, abs=0.005)
    assert psnr(rounded, unrounded).item() == pytest.approx(58.92, abs=0.1)


def test_one_exact_image_leaves_the_mean_psnr_finite(photograph):
    """Of 20 dB and of an exact one, as 58.92 dB."""
    images = torch.zeros(2, 3, 4, 4)
    reconstructions = torch.stack([images[0] + 0.2, images[1]])
    assert psnr(images, reconstructions).mean().item() == pytest.approx((20 + 58.92) / 2, abs=0.005)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_values_outside_the_range_count_as_clipped(metric):
    images = torch.full((1, 3, 16, 16), 0.5)
    clipped = metric(images, torch.ones_like(images))
    assert torch.equal(metric(images, torch.full_like(images, 3.0)), clipped)


def test_ssim_of_equal_images_is_one(photograph):
    assert ssim(photograph, photograph).item() == pytest.approx(1.0)


def test_ssim_equals_scikit_images(photograph, generator):
    noisy = (photograph + 0.2 * torch.randn(photograph.shape, generator=generator)).clamp(-1, 1)

    def as_array(image: torch.Tensor) -> np.ndarray:
        # scikit-image leaves the border out, ours reflects it.
        return np.pad((image[0].double().numpy() + 1) / 2, ((0, 0), (5, 5), (5, 5)), "reflect")

    expected = structural_similarity(
        as_array(photograph),
        as_array(noisy),
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    assert ssim(photograph, noisy).item() == pytest.approx(expected, abs=1e-4)


def test_ssim_of_an_image_smaller_than_its_window_is_refused():
    with pytest.raises(InputError, match="at least 11x11 pixels, got 10x16"):
        ssim(torch.zeros(1, 3, 10, 16), torch.zeros(1, 3, 10, 16))


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_gives_one_value_an_image(metric, photograph, generator):
    noise = 0.1 * torch.randn(photograph.shape, generator=generator)
    values = metric(
        photograph.expand(3, -1, -1, -1), torch.cat([photograph + s * noise for s in (1, 2, 4)])
    )
    assert values.shape == (3,)
    assert (values.diff() < 0).all()

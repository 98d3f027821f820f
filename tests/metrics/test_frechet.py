import math

import pytest
import torch

from smalti.config import InputError
from smalti.metrics.frechet import frechet_distance, frechet_warning
from smalti.metrics.moments import FeatureMoments


def distance(real: torch.Tensor, fake: torch.Tensor, batch_size: int = 64) -> float:
    moments = [FeatureMoments(features.shape[1]) for features in (real, fake)]
    for of_set, features in zip(moments, (real, fake), strict=True):
        for batch in features.split(batch_size):
            of_set.add(batch)
    return frechet_distance(*(of_set.gaussian() for of_set in moments))


def standard(images: int, features: int, generator: torch.Generator) -> torch.Tensor:
    """Features whose mean is exactly 0 and whose covariance is exactly the unit matrix."""
    drawn = torch.randn(images, features, generator=generator, dtype=torch.float64)
    drawn = drawn - drawn.mean(0)
    return drawn @ torch.linalg.inv(torch.linalg.cholesky(drawn.T.cov())).T


def test_is_zero_for_equal_sets(generator):
    features = torch.randn(100, 8, generator=generator)
    assert distance(features, features) == pytest.approx(0.0, abs=1e-9)


def test_is_zero_for_equal_sets_of_fewer_images_than_features(generator):
    features = torch.rand(10, 64, generator=generator)
    assert distance(features, features) == pytest.approx(0.0, abs=1e-5)


def test_of_gaussians_that_differ_in_mean_and_spread_by_hand(generator):
    real = standard(200, 3, generator)
    fake = real * torch.tensor([1.0, 2.0, 0.5]) + torch.tensor([3.0, 0.0, 4.0])
    # squared shift, and squared difference of each standard deviation
    assert distance(real, fake) == pytest.approx(25.0 + 1.0 + 0.25)


def test_of_gaussians_whose_covariances_do_not_commute(generator):
    first = torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    second = torch.tensor([[1.0, 0.0], [1.5, 0.5]], dtype=torch.float64)
    real, fake = (standard(200, 2, generator) @ root.T for root in (first, second))
    cov_1, cov_2 = first @ first.T, second @ second.T
    product = cov_1 @ cov_2
    # the trace of a 2x2 matrix's root from its trace and determinant
    root_trace = math.sqrt(product.trace() + 2 * math.sqrt(torch.linalg.det(product)))
    expected = float(cov_1.trace() + cov_2.trace()) - 2 * root_trace
    assert distance(real, fake) == pytest.approx(expected)


def test_grows_with_noise(generator):
    real = torch.randn(500, 6, generator=generator)
    noise = torch.randn(500, 6, generator=generator)
    distances = [distance(real, real + scale * noise) for scale in (0.0, 0.2, 0.5, 1.0)]
    assert distances == sorted(distances)
    assert distances[-1] > 0.5


def test_order_and_size_of_batches_change_nothing(generator):
    real, fake = torch.rand(2, 90, 5, generator=generator)
    shuffled = fake[torch.randperm(90, generator=generator)]
    assert distance(real, shuffled, 7) == pytest.approx(distance(real, fake, 90), rel=1e-9)


def test_a_large_common_mean_does_not_drown_a_small_distance(generator):
    real = standard(200, 3, generator)
    assert distance(real + 1e4, real + 1e4 + 0.01) == pytest.approx(3e-4, rel=1e-2)


def test_of_half_precision_features_is_summed_in_float64(generator):
    real = (1000 + torch.rand(300, 4, generator=generator)).bfloat16()
    fake = (1008 + torch.rand(300, 4, generator=generator)).bfloat16()
    assert distance(real, fake) == pytest.approx(distance(real.double(), fake.double()))


@pytest.mark.parametrize("images", [0, 1])
def test_fewer_than_two_images_are_refused(images):
    with pytest.raises(InputError, match=f"at least 2 images, got {images}"):
        distance(torch.zeros(images, 3), torch.zeros(5, 3))


def test_warns_up_to_as_many_images_as_features():
    assert frechet_warning(1281, 1280) is None
    warning = frechet_warning(1280, 1280)
    assert warning is not None
    assert "1,280 images" in warning
    assert "same images" in warning

"""Moments of a set in batches, and the Frechet distance against closed forms and scipy."""

import itertools

import pytest
import scipy.linalg
import torch

from smalti.config import InputError
from smalti.metrics.frechet import frechet_distance
from smalti.metrics.moments import FeatureMoments, Gaussian


def moments(features: torch.Tensor) -> FeatureMoments:
    return FeatureMoments(features.shape[1]).add(features)


def gaussian(mean: list[float], covariance: list[list[float]]) -> Gaussian:
    return Gaussian(
        torch.tensor(mean, dtype=torch.float64), torch.tensor(covariance, dtype=torch.float64)
    )


def test_are_mean_and_covariance_of_all_features(generator):
    features = torch.rand(50, 4, generator=generator, dtype=torch.float64) + 3.0
    found = moments(features).gaussian()
    torch.testing.assert_close(found.mean, features.mean(0))
    torch.testing.assert_close(found.covariance, features.T.cov())


@pytest.mark.parametrize("sizes", [(60,), (1, 59), (7, 0, 13, 40), (1,) * 60])
def test_do_not_depend_on_how_the_set_is_divided(generator, sizes):
    features = torch.rand(60, 5, generator=generator)
    whole, added = moments(features), FeatureMoments(5)
    for part in features.split(sizes):
        added.add(part)
    assert added.count == 60
    torch.testing.assert_close(added.mean, whole.mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(added.scatter, whole.scatter, rtol=1e-12, atol=1e-12)


def test_of_one_image_have_no_covariance():
    with pytest.raises(InputError, match="at least 2 images, got 1"):
        moments(torch.zeros(1, 3)).gaussian()


def test_frechet_distance_of_two_gaussians_by_hand():
    first = gaussian([1.0, 0.0], [[4.0, 0.0], [0.0, 9.0]])
    second = gaussian([4.0, 4.0], [[1.0, 0.0], [0.0, 16.0]])
    # 3^2 + 4^2, and the squared differences of the deviations 2 and 1, 3 and 4
    assert frechet_distance(first, second) == pytest.approx(25.0 + 1.0 + 1.0)


def test_frechet_distance_of_turned_gaussians_by_hand():
    # The roots of 2x2 matrices [[a, b], [b, a]] have the eigenvalues sqrt(a + b), sqrt(a - b).
    first = gaussian([0.0, 0.0], [[5.0, 4.0], [4.0, 5.0]])  # 9 and 1
    second = gaussian([0.0, 0.0], [[10.0, -6.0], [-6.0, 10.0]])  # 4 and 16
    assert frechet_distance(first, second) == pytest.approx((3 - 2) ** 2 + (1 - 4) ** 2)


def test_frechet_distance_is_that_of_scipys_matrix_root(generator):
    sets = torch.randn(2, 300, 6, generator=generator).double() @ torch.rand(6, 6).double()
    first, second = (moments(features).gaussian() for features in sets)
    product = first.covariance.numpy() @ second.covariance.numpy()
    root = scipy.linalg.sqrtm(product).real.trace()
    expected = (
        (first.mean - second.mean).square().sum()
        + first.covariance.trace()
        + second.covariance.trace()
        - 2 * root
    )
    assert frechet_distance(first, second) == pytest.approx(float(expected), rel=1e-9)


def test_frechet_distance_is_exact_where_the_covariances_have_no_full_rank(generator):
    """Seven images of 40 features: the overlap is a nuclear norm of a 7x7 matrix."""
    first, second = torch.rand(2, 7, 40, generator=generator).double()
    centred = [features - features.mean(0) for features in (first, second)]
    overlap = scipy.linalg.svdvals((centred[0] @ centred[1].T).numpy()).sum()
    squares = sum(float(features.square().sum()) for features in centred)
    shift = float((first.mean(0) - second.mean(0)).square().sum())
    found = frechet_distance(moments(first).gaussian(), moments(second).gaussian())
    assert found == pytest.approx(shift + (squares - 2 * overlap) / 6, rel=1e-12)


def test_frechet_distance_is_0_on_itself_and_the_same_both_ways(generator):
    sets = [moments(torch.rand(n, 12, generator=generator)).gaussian() for n in (5, 100)]
    for one in sets:
        assert frechet_distance(one, one) == pytest.approx(0.0, abs=1e-12)
    there, back = (frechet_distance(*pair) for pair in itertools.permutations(sets))
    assert there == pytest.approx(back, rel=1e-12)

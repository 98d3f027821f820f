import warnings

import pytest
import torch

from smalti.config import InputError
from smalti.metrics.kernel_distance import kernel_distance


def test_of_two_small_sets_by_hand():
    real, fake = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [3.0]])
    # (1*2 + 1)^3 and (0*3 + 1)^3 within; (0 + 1)^3 twice, (3 + 1)^3 and (6 + 1)^3 between
    expected = 27 + 1 - 2 * (1 + 64 + 1 + 343) / 4
    found = kernel_distance(real, fake, seed=0)
    assert found == (pytest.approx(expected), 0.0, 2)


def test_is_that_of_torchmetrics_where_a_subset_is_the_whole_set(generator):
    from torchmetrics.image.kid import KernelInceptionDistance

    class AsGiven(torch.nn.Module):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features

    real = torch.rand(40, 16, generator=generator).double()
    fake = 1.2 * torch.rand(40, 16, generator=generator).double()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it keeps all features
        theirs = KernelInceptionDistance(AsGiven(), subsets=1, subset_size=40).double()
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    expected = float(theirs.compute()[0])
    assert kernel_distance(real, fake, seed=0).mean == pytest.approx(expected, rel=1e-9)


def test_of_two_samples_of_one_distribution_is_0_on_average(generator):
    real, fake = torch.rand(2, 2000, 4, generator=generator)
    found = kernel_distance(real, fake, seed=0, subset_images=200)
    assert abs(found.mean) < 0.2 * found.deviation
    assert kernel_distance(real, fake + 0.3, seed=0, subset_images=200).mean > found.deviation


def test_depends_on_the_seed_alone(generator):
    real, fake = torch.rand(2, 60, 4, generator=generator)
    first = kernel_distance(real, fake, seed=1, subset_images=20)
    torch.manual_seed(5)
    assert kernel_distance(real, fake, seed=1, subset_images=20) == first
    assert kernel_distance(real, fake, seed=2, subset_images=20) != first
    assert first.deviation > 0
    assert first.subset_images == 20


def test_a_single_image_is_refused():
    with pytest.raises(InputError, match="at least 2 images on each side, got 1"):
        kernel_distance(torch.zeros(5, 2), torch.zeros(1, 2), seed=0)

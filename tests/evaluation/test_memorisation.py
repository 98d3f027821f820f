import pytest
import torch

from smalti.evaluation.memorisation import memorisation


def line(*places: float) -> torch.Tensor:
    return torch.tensor(places)[:, None]


def test_nearest_training_images_and_their_order_by_hand():
    found = memorisation(line(0.0, 9.0, 21.0), line(0.0, 10.0, 20.0), line(12.0, 18.5))
    assert found.samples.numbers.flatten().tolist() == [0, 1, 2]
    assert found.samples.distances.flatten().tolist() == [0.0, 1.0, 1.0]
    assert found.unseen.distances.flatten().tolist() == [2.0, 1.5]
    assert found.copies == 1
    assert found.share_nearer == 1.0
    assert found.warning is None  # too few to say


def test_ties_count_half():
    assert memorisation(line(1.0), line(0.0), line(-1.0, 2.0)).share_nearer == 0.75


@pytest.fixture
def photographs(generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Training and unseen images of one distribution."""
    features = torch.randn(400, 8, generator=generator)
    return features[:300], features[300:]


def test_new_samples_of_the_same_kind_are_no_reason_to_warn(photographs, generator):
    training, unseen = photographs
    found = memorisation(torch.randn(200, 8, generator=generator), training, unseen)
    assert found.share_nearer == pytest.approx(0.5, abs=0.1)
    assert found.warning is None


def test_copies_with_some_noise_are_told_in_words(photographs, generator):
    training, unseen = photographs
    samples = training[:100] + 0.1 * torch.randn(100, 8, generator=generator)
    found = memorisation(samples, training, unseen)
    assert found.samples.numbers.flatten().tolist() == list(range(100))
    assert found.copies == 0
    assert found.share_nearer > 0.95
    assert "nearer to training images" in found.warning
    assert f"in {found.share_nearer:.0%} of all pairs" in found.warning


def test_a_small_difference_of_many_samples_is_no_reason_to_warn(photographs, generator):
    training, unseen = photographs
    samples = 0.9 * torch.randn(3000, 8, generator=generator)
    found = memorisation(samples, training, unseen.repeat(10, 1))
    assert found.p_value < 0.001
    assert found.share_nearer < 0.6
    assert found.warning is None

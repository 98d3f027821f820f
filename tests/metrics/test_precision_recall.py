import math

import pytest
import torch

from smalti.config import InputError
from smalti.metrics.precision_recall import precision_recall


def line(*places: float) -> torch.Tensor:
    return torch.tensor(places)[:, None]


def test_of_two_small_sets_by_hand():
    # Radii to the third other neighbour: real 0:3, 1:2, 2:2, 3:3; fake 10: 9, 1: 2, 2: 1, 3: 2.
    real, fake = line(0.0, 1.0, 2.0, 3.0), line(1.0, 2.0, 3.0, 10.0)
    found = precision_recall(real, fake)
    # 10 is in no real ball (3 + 3 < 10); the ball around 10 reaches from 1 to 19, that around 3
    # from -4 on.
    assert found.precision == 3 / 4
    assert found.recall == 1.0


def test_k_chooses_the_neighbour():
    real, fake = line(0.0, 1.0, 2.0, 3.0), line(1.0, 4.5, 5.5, 6.5)
    # Nearest others: balls of radius 1 around real reach to 4, those around fake begin at 1 - 3.5.
    one = precision_recall(real, fake, neighbours=1)
    assert (one.precision, one.recall) == (1 / 4, 4 / 4)
    # The third: around 0 and 3 they reach 3 far, up to 6.
    assert precision_recall(real, fake, neighbours=3).precision == 3 / 4


def test_of_a_set_with_itself_are_1(generator):
    features = torch.rand(30, 8, generator=generator)
    features[20:] = features[:1]  # eleven copies, whose balls have no size
    assert precision_recall(features, features) == (1.0, 1.0)


def test_few_modes_cost_recall_and_noise_costs_precision(generator):
    real = torch.randn(400, 2, generator=generator)
    narrow = 0.1 * torch.randn(400, 2, generator=generator)
    wide = 10.0 * torch.randn(400, 2, generator=generator)
    found = precision_recall(real, narrow)
    assert found.precision > 0.95
    assert found.recall < 0.2
    found = precision_recall(real, wide)
    assert found.precision < 0.2
    assert found.recall > 0.8


def test_agree_with_all_pairs_one_by_one(generator):
    real, fake = (
        torch.rand(25, 3, generator=generator),
        torch.rand(20, 3, generator=generator) + 0.2,
    )

    def covered(centres: list[list[float]], points: list[list[float]]) -> float:
        radii = [sorted(math.dist(c, other) for other in centres)[3] for c in centres]
        pairs = list(zip(centres, radii, strict=True))
        is_in = [any(math.dist(point, c) <= radius for c, radius in pairs) for point in points]
        return sum(is_in) / len(points)

    expected = covered(real.tolist(), fake.tolist()), covered(fake.tolist(), real.tolist())
    assert precision_recall(real, fake) == expected


def test_too_few_images_are_refused():
    with pytest.raises(InputError, match="more than 3 images on each side, got 3"):
        precision_recall(torch.zeros(10, 2), torch.zeros(3, 2))

"""The order of samples: a function of seed and epoch, by weight if asked."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smalti.config import InputError
from smalti.data.order import order, weighted_order
from smalti.randomness import generator_for


@given(st.integers(0, 2**31), st.integers(0, 1000), st.integers(0, 50))
def test_order_is_a_permutation(seed: int, epoch: int, length: int) -> None:
    assert order(seed, epoch, length).sort().values.tolist() == list(range(length))


def test_order_is_repeatable_and_new_each_epoch_and_seed() -> None:
    orders = [order(seed, epoch, 50).tolist() for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert len(set(map(tuple, orders))) == 3
    assert order(0, 1, 50).tolist() == orders[1]


def test_generators_of_swapped_numbers_differ() -> None:
    first, second = (torch.rand(4, generator=generator_for(*n)) for n in ((1, 2), (2, 1)))
    assert not torch.equal(first, second)


def test_generator_for_leaves_the_global_one_alone() -> None:
    state = torch.get_rng_state()
    generator_for(1, 2)
    order(0, 0, 10)
    weighted_order(0, 0, [5, 5], [1, 1])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("weights", [(1.0, 1.0), (3.0, 1.0), (0.2, 0.8)])
def test_sources_are_drawn_by_weight_whatever_their_sizes(weights: tuple[float, float]) -> None:
    drawn = weighted_order(0, 0, [100, 9900], weights)
    share = (drawn < 100).double().mean().item()
    assert share == pytest.approx(weights[0] / sum(weights), abs=0.02)  # four standard deviations


def test_within_a_source_nothing_repeats_before_all_was_used() -> None:
    drawn = weighted_order(0, 0, [7, 993], [1, 1])
    small = drawn[drawn < 7]
    assert len(small) > 70
    for start in range(0, len(small) - 7, 7):
        assert sorted(small[start : start + 7].tolist()) == list(range(7))


def test_sources_of_no_weight_or_no_images_are_never_drawn() -> None:
    drawn = weighted_order(0, 0, [10, 0, 10, 10], [0, 5, 1, 0])
    assert drawn.min() >= 10
    assert drawn.max() < 20


def test_no_source_with_images_and_weight_is_an_error() -> None:
    with pytest.raises(InputError, match="no image is left"):
        weighted_order(0, 0, [10, 0], [0, 1])


def test_weighted_order_is_repeatable_and_new_each_epoch() -> None:
    first, again, other = (
        weighted_order(0, epoch, [5, 20], [1, 2]).tolist() for epoch in (3, 3, 4)
    )
    assert first == again
    assert first != other

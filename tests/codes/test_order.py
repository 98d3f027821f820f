"""The order of rows over shards: each once an epoch, another in each, without a list of all."""

import numpy as np
import pytest

from smalti.codes.order import RowOrder


def epoch(order: RowOrder, number: int) -> list[tuple[int, int]]:
    return [tuple(order.row(number, place)) for place in range(len(order))]


@pytest.mark.parametrize("window", [1, 4, 7, 1000])
def test_an_epoch_has_each_row_once(window):
    sizes = [3, 0, 5, 1, 4, 2]
    found = epoch(RowOrder(sizes, seed=1, window_rows=window), 0)
    expected = [(shard, row) for shard, size in enumerate(sizes) for row in range(size)]
    assert sorted(found) == expected
    assert found != expected


def test_epochs_and_seeds_differ_and_can_be_repeated():
    sizes = [10] * 10
    order = RowOrder(sizes, seed=1)
    first, second = epoch(order, 0), epoch(order, 1)
    assert first != second
    assert epoch(RowOrder(sizes, seed=1), 0) == first
    assert epoch(RowOrder(sizes, seed=2), 0) != first


def test_rows_of_several_shards_are_mixed_within_a_window():
    places = np.array([shard for shard, _ in epoch(RowOrder([50] * 20, 3, window_rows=250), 0)])
    for start in range(0, 1000, 250):
        assert len(set(places[start : start + 250].tolist())) == 5
        assert len(set(places[start : start + 50].tolist())) >= 4


def test_epochs_have_their_shards_in_another_order():
    order = RowOrder([2] * 30, seed=1, window_rows=1)
    first, second = ([shard for shard, _ in epoch(order, number)] for number in (0, 1))
    assert first != second

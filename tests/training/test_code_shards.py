"""Which rows of shards are trained on and evaluated."""

import pytest

from smalti.training.prior.code_shards import ShardSplit


def test_the_last_rows_of_all_shards_are_held_out():
    split = ShardSplit([10, 7, 30, 13], held_out=0.1)
    assert split.training == [9, 7, 27, 11]  # one in ten, counted over all
    assert split.held_out == 6
    rows = [tuple(row) for row in split.evaluated(100)]
    assert rows == [(0, 9), (2, 27), (2, 28), (2, 29), (3, 11), (3, 12)]


def test_few_rows_are_not_split_and_are_evaluated_themselves():
    split = ShardSplit([10, 9], held_out=0.5)
    assert (split.training, split.held_out) == ([10, 9], 0)
    assert [tuple(row) for row in split.evaluated(2)] == [(0, 0), (0, 9)]


@pytest.mark.parametrize(("sizes", "shards"), [([1000] * 1000, 16), ([20] * 1000, 128)])
def test_rows_to_evaluate_come_from_few_shards(sizes, shards):
    rows = ShardSplit(sizes, held_out=0.05).evaluated(100)
    assert len(rows) == 100
    assert len({row.shard for row in rows}) <= shards

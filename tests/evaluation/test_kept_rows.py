"""Rows of images in memory and on disk, and of several processes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from smalti.config import InputError
from smalti.evaluation import kept_rows
from smalti.evaluation.kept_rows import KeptRows, fill, in_order

EMPTY = {"squares": torch.empty(0, 2)}


def squares(numbers):
    return {"squares": torch.tensor([[n, n * n] for n in numbers], dtype=torch.float32)}


def test_rows_that_were_kept_are_not_computed_again(tmp_path):
    fill(KeptRows("rows", EMPTY, tmp_path), range(2, 5), 2, squares)
    asked = []
    rows = KeptRows("rows", EMPTY, tmp_path)
    found = fill(rows, range(7), 3, lambda numbers: (asked.extend(numbers), squares(numbers))[1])
    assert asked == [0, 1, 5, 6]
    assert found["squares"].tolist() == [[n, n * n] for n in range(7)]


def test_rows_of_another_width_are_refused(tmp_path):
    fill(KeptRows("rows", EMPTY, tmp_path), range(2), 2, squares)
    with pytest.raises(InputError, match="another version"):
        KeptRows("rows", {"squares": torch.empty(0, 3)}, tmp_path)


def test_features_of_one_process_come_in_order():
    numbers = torch.tensor([4, 0, 9])
    found = in_order(numbers, torch.tensor([[4.0, 4.5], [0.0, 0.5], [9.0, 9.5]]))
    assert found.tolist() == [[0.0, 0.5], [4.0, 4.5], [9.0, 9.5]]


def test_features_of_several_processes_come_in_order_whatever_their_shares(monkeypatch):
    """Three threads stand for processes, the last of which has no sample."""
    barrier, given = threading.Barrier(3), [torch.empty(0)] * 3
    rank = threading.local()

    def gathered(tensor: torch.Tensor) -> torch.Tensor:
        given[rank.number] = tensor
        barrier.wait()
        together = torch.cat(given)
        barrier.wait()
        return together

    monkeypatch.setattr(kept_rows, "gather_batch", gathered)
    monkeypatch.setattr(
        kept_rows, "largest", lambda number: int(gathered(torch.tensor([number])).max())
    )
    shares = [[6, 0, 2], [1, 5], []]

    def process(number: int) -> torch.Tensor:
        rank.number = number
        numbers = torch.tensor(shares[number], dtype=torch.int64)
        return in_order(numbers, numbers[:, None].float())

    with ThreadPoolExecutor(3) as threads:
        for found in threads.map(process, range(3)):
            assert found.flatten().tolist() == [0.0, 1.0, 2.0, 5.0, 6.0]

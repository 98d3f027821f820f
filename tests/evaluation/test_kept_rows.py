"""Rows of images in memory and on disk."""

import pytest
import torch

from smalti.config import InputError
from smalti.evaluation.kept_rows import KeptRows, fill

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

import threading
from concurrent.futures import ThreadPoolExecutor

import torch

from smalti.evaluation import features
from smalti.evaluation.features import in_order


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

    monkeypatch.setattr(features, "gather_batch", gathered)
    monkeypatch.setattr(
        features, "largest", lambda number: int(gathered(torch.tensor([number])).max())
    )
    shares = [[6, 0, 2], [1, 5], []]

    def process(number: int) -> torch.Tensor:
        rank.number = number
        numbers = torch.tensor(shares[number], dtype=torch.int64)
        return in_order(numbers, numbers[:, None].float())

    with ThreadPoolExecutor(3) as threads:
        for found in threads.map(process, range(3)):
            assert found.flatten().tolist() == [0.0, 1.0, 2.0, 5.0, 6.0]

"""The codebook that follows the data without a gradient."""

import copy
import threading

import pytest
import torch
from torch import Tensor

from smalti.config import InputError
from smalti.tokenizer.kmeans import kmeans
from smalti.tokenizer.quantizers import ema
from smalti.tokenizer.quantizers.config import EMAQuantizerConfig
from smalti.tokenizer.quantizers.ema import EMAQuantizer

PLAIN = EMAQuantizerConfig(lookup_dim=None, l2_normalised=False, decay=0.5, restart_below=0)
RESTARTS = PLAIN.model_copy(update={"restart_below": 0.6})


def quantizer_of(entries: Tensor, config: EMAQuantizerConfig = PLAIN) -> EMAQuantizer:
    quantizer = EMAQuantizer(config, *entries.shape)
    quantizer._place(slice(None), entries)
    return quantizer


def grid_of(rows: Tensor, batch: int = 1) -> Tensor:
    """(N, D) -> (batch, D, N / batch, 1)."""
    return rows.view(batch, -1, rows.shape[1]).mT[..., None]


def learn(quantizer: EMAQuantizer, *parts: Tensor) -> EMAQuantizer:
    for part in parts:
        quantizer(part)
    quantizer.finish_step()
    return quantizer


# The averages


def test_entries_move_to_the_mean_of_their_vectors():
    """Entry 0 takes both vectors, entry 1 none: it stays. By hand, in shares of even use:
    counts (1 + 2) / 2 and 1 / 2; sums (0 + (2 + 4)) / 2 and 10 / 2."""
    quantizer = quantizer_of(torch.tensor([[0.0], [10.0]]))
    learn(quantizer, grid_of(torch.tensor([[2.0], [4.0]])))
    assert quantizer.counts.tolist() == [1.5, 0.5]
    assert quantizer.codebook.tolist() == [[2.0], [10.0]]


def test_decay_is_the_share_that_is_kept():
    """By hand: counts 0.75 * 1 + 0.25 * 2 and 0.75 * 1; sums 0.75 * 0 + 0.25 * 6 and 0.75 * 10."""
    config = PLAIN.model_copy(update={"decay": 0.75})
    quantizer = quantizer_of(torch.tensor([[0.0], [10.0]]), config)
    learn(quantizer, grid_of(torch.tensor([[2.0], [4.0]])))
    assert quantizer.counts.tolist() == [1.25, 0.75]
    assert quantizer.sums.tolist() == [[1.5], [7.5]]
    torch.testing.assert_close(quantizer.codebook, torch.tensor([[1.2], [10.0]]))


def test_entries_come_to_rest_at_the_means():
    quantizer = quantizer_of(torch.tensor([[0.0], [10.0]]))
    for _ in range(40):
        learn(quantizer, grid_of(torch.tensor([[1.0], [2.0], [9.0], [7.0]])))
    torch.testing.assert_close(quantizer.codebook, torch.tensor([[1.5], [8.0]]))


def test_an_entry_that_was_never_used_stays_for_ever():
    quantizer = quantizer_of(torch.tensor([[0.0], [10.0]]))
    for _ in range(300):
        learn(quantizer, grid_of(torch.tensor([[1.0]])))
    assert quantizer.codebook[1].item() == pytest.approx(10)
    assert quantizer.codebook.isfinite().all()


@pytest.mark.parametrize("mode", ["evaluation", "no gradient"])
def test_nothing_is_learned_outside_training(generator, mode):
    quantizer = quantizer_of(torch.randn(8, 4, generator=generator))
    quantizer.train(mode != "evaluation")
    before = copy.deepcopy(quantizer.state_dict())
    with torch.set_grad_enabled(mode == "evaluation"):
        learn(quantizer, torch.randn(1, 4, 3, 3, generator=generator))
    for name, tensor in quantizer.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_each_step_begins_anew(generator):
    quantizer = quantizer_of(torch.randn(8, 4, generator=generator))
    learn(quantizer, torch.randn(1, 4, 3, 3, generator=generator))
    before = quantizer.counts.clone()
    quantizer.finish_step()
    assert torch.equal(quantizer.counts, before)


# Parts and processes


@pytest.mark.parametrize("config", [PLAIN, RESTARTS], ids=["plain", "restarts"])
def test_parts_of_a_batch_teach_the_same_as_the_whole(generator, config):
    entries = torch.randn(8, 4, generator=generator)
    whole, parts = quantizer_of(entries, config), quantizer_of(entries, config)
    for _ in range(3):
        z = torch.randn(4, 4, 3, 3, generator=generator)
        learn(whole, z)
        learn(parts, z[:2], z[2:3], z[3:])
        torch.testing.assert_close(parts.codebook, whole.codebook)
        torch.testing.assert_close(parts.counts, whole.counts)


class Processes:
    """Two threads that sum as two processes do."""

    def __init__(self) -> None:
        self.local = threading.local()
        self.barrier = threading.Barrier(2, timeout=20)
        self.parts: list[Tensor | None] = [None, None]

    def rank(self) -> int:
        return int(self.local.rank)

    def world_size(self) -> int:
        return 2

    def sum(self, tensor: Tensor) -> Tensor:
        self.parts[self.rank()] = tensor
        self.barrier.wait()
        total = self.parts[0] + self.parts[1]
        self.barrier.wait()
        return total

    def run(self, jobs) -> None:
        def work(rank: int) -> None:
            self.local.rank = rank
            jobs[rank]()

        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@pytest.fixture
def processes(monkeypatch) -> Processes:
    processes = Processes()
    monkeypatch.setattr(ema, "rank", processes.rank)
    monkeypatch.setattr(ema, "world_size", processes.world_size)
    monkeypatch.setattr(ema, "sum_over_processes", processes.sum)
    return processes


@pytest.mark.parametrize("config", [PLAIN, RESTARTS], ids=["plain", "restarts"])
def test_two_processes_learn_the_same_as_one(generator, request, config):
    entries = torch.randn(8, 4, generator=generator)
    batches = torch.randn(3, 4, 4, 3, 3, generator=generator)
    alone = quantizer_of(entries, config)
    for z in batches:
        learn(alone, z)
    processes = request.getfixturevalue("processes")
    pair = [quantizer_of(entries, config) for _ in range(2)]

    def job(rank: int):
        return lambda: [learn(pair[rank], z[2 * rank : 2 * rank + 2]) for z in batches]

    processes.run([job(0), job(1)])
    assert torch.equal(pair[0].codebook, pair[1].codebook)
    torch.testing.assert_close(pair[0].codebook, alone.codebook)
    torch.testing.assert_close(pair[0].counts, alone.counts)


def test_two_processes_start_alike_whatever_order_they_sum_in(generator, monkeypatch, processes):
    z = torch.randn(1, 2, 4, 4, generator=generator)
    monkeypatch.setattr(ema, "kmeans", lambda *args: kmeans(*args) + processes.rank())
    pair = [EMAQuantizer(PLAIN, 4, 2) for _ in range(2)]
    processes.run([lambda: pair[0].start(z), lambda: pair[1].start(z)])
    assert torch.equal(pair[0].codebook, pair[1].codebook)
    assert not pair[0].waits_for_start


# Restarts


def test_unused_entries_move_onto_vectors_of_the_batch():
    quantizer = quantizer_of(torch.tensor([[0.0], [50.0], [60.0]]), RESTARTS)
    learn(quantizer, grid_of(torch.tensor([[1.0], [2.0]])))
    assert set(quantizer.codebook[1:].flatten().tolist()) == {1.0, 2.0}
    assert quantizer.counts[1:].tolist() == [1.0, 1.0]


def test_restarts_of_different_steps_draw_different_vectors(generator):
    entries = torch.tensor([[0.0], [50.0]])
    rows = torch.rand(64, 1, generator=generator)
    quantizer = quantizer_of(entries, RESTARTS)
    drawn = set()
    for _ in range(8):
        quantizer._place(torch.tensor([1]), torch.tensor([[50.0]]))
        learn(quantizer, grid_of(rows))
        drawn.add(quantizer.codebook[1].item())
    assert len(drawn) > 4


def test_no_entry_restarts_where_all_are_used():
    quantizer = quantizer_of(torch.tensor([[0.0], [10.0]]), RESTARTS)
    learn(quantizer, grid_of(torch.tensor([[0.0], [10.0]])))
    assert quantizer.codebook.tolist() == [[0.0], [10.0]]


# The start


def test_start_finds_the_groups_of_the_first_batch():
    centres = torch.tensor([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])
    offsets = torch.tensor([[0.1, 0.0], [-0.1, 0.0], [0.0, 0.1], [0.0, -0.1]])
    rows = (centres[:, None] + offsets).flatten(0, 1)
    config = PLAIN.model_copy(update={"kmeans_start": None})
    quantizer = EMAQuantizer(config, 3, 2)
    assert quantizer.waits_for_start
    quantizer.start(grid_of(rows))
    assert not quantizer.waits_for_start
    found = quantizer.codebook[quantizer.codebook.sum(1).argsort()]
    assert torch.cdist(centres, found).min(1).values.max() < 1e-5


def test_start_is_remembered(generator):
    quantizer = EMAQuantizer(PLAIN, 4, 2)
    quantizer.start(torch.randn(1, 2, 4, 4, generator=generator))
    other = EMAQuantizer(PLAIN, 4, 2)
    other.load_state_dict(quantizer.state_dict())
    assert not other.waits_for_start


def test_fewer_vectors_than_codes_are_refused_where_kmeans_was_asked_for(generator):
    quantizer = EMAQuantizer(PLAIN.model_copy(update={"kmeans_start": True}), 17, 2)
    with pytest.raises(InputError, match="codebook-size 17 is more than the 16 vectors of the fir"):
        quantizer.start(torch.randn(1, 2, 4, 4, generator=generator))


def test_fewer_vectors_than_codes_leave_the_drawn_entries_otherwise(generator):
    quantizer = EMAQuantizer(PLAIN, 17, 2)
    before = quantizer.codebook.clone()
    quantizer.start(torch.randn(1, 2, 4, 4, generator=generator))
    assert not quantizer.waits_for_start
    assert torch.equal(quantizer.codebook, before)


def test_start_may_be_turned_off():
    config = PLAIN.model_copy(update={"kmeans_start": False})
    assert not EMAQuantizer(config, 4, 2).waits_for_start

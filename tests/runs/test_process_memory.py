"""Memory of each of several processes, by hand."""

import torch

from smalti.compute import Compute
from smalti.prior.base import GridSizes
from smalti.prior.gpt.config import GPTConfig
from smalti.prior.gpt.model import GPT
from smalti.runs.cost import StepCost, weight_bytes
from smalti.runs.process_memory import ProcessMemory, fewest, memory_of_processes
from smalti.training.config import TrainingConfig

CPU = Compute(torch.device("cpu"), torch.float32)
PRIOR = GPT(GPTConfig(layers=4, heads=1, width=8, dropout=0.0), GridSizes(5, 4, 1, 2, 2))
WEIGHTS, BLOCK = weight_bytes(PRIOR), weight_bytes(PRIOR.blocks[0])
FROZEN, ACTIVATIONS = 1000, 8_000_000


def found(batch_size: int, chunks: int = 1, compute: Compute = CPU) -> list[ProcessMemory]:
    cost = StepCost(5 * WEIGHTS + FROZEN, ACTIVATIONS, operations=0)
    training = TrainingConfig(batch_size=batch_size, accumulation_steps=chunks)
    return memory_of_processes(PRIOR, cost, training, compute)


def test_what_two_processes_hold():
    """Whole, with buffers of the gradients; or halves, two blocks and what is no block."""
    one, two = found(2)
    assert one == ProcessMemory(1, *[5 * WEIGHTS + FROZEN + ACTIVATIONS] * 2)
    assert two.replicated_bytes == 6 * WEIGHTS + FROZEN + ACTIVATIONS // 2
    gathered = 2 * (WEIGHTS - 4 * BLOCK + 2 * BLOCK)
    assert two.sharded_bytes == 5 * WEIGHTS // 2 + FROZEN + gathered + ACTIVATIONS // 2


def test_rounded_weights_do_not_shrink_with_the_batch():
    _, two = found(2, compute=Compute(torch.device("cpu"), torch.bfloat16))
    activations = WEIGHTS // 2 + (ACTIVATIONS - WEIGHTS // 2) // 2
    assert two.replicated_bytes == 6 * WEIGHTS + FROZEN + activations


def test_only_processes_that_divide_the_batch():
    assert [one.processes for one in found(24, chunks=3)] == [1, 2, 4, 8]
    assert [one.processes for one in found(7, chunks=2)] == [1]


def test_fewest_cards_leave_a_fifth_of_each_free():
    rows = [ProcessMemory(1, 0, 100), ProcessMemory(2, 0, 60), ProcessMemory(4, 0, 40)]
    assert [fewest(rows, card) for card in (126, 76, 75, 51)] == [rows[0], rows[1], *[rows[2]] * 2]
    assert fewest(rows, 50) is None

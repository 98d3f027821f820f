"""Memory of each of several processes that train a prior, and the number of cards that it needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from smalti.compute import Compute
from smalti.runs.cost import LEARNED_COPIES, MOST_MEMORY, StepCost, weight_bytes
from smalti.training.config import TrainingConfig

PROCESSES = tuple(2**power for power in range(8))
"""Numbers of processes that are compared, up to 128."""
GATHERED_BLOCKS = 2  # the block that is computed and the next one, which is fetched meanwhile


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Memory of one process of several."""

    processes: int
    replicated_bytes: int
    """Memory with the whole prior in each process."""
    sharded_bytes: int
    """Memory with the prior divided among the processes; of one process, that with the whole."""


def memory_of_processes(
    prior: nn.Module, cost: StepCost, training: TrainingConfig, compute: Compute
) -> list[ProcessMemory]:
    """Memory of each process, for the numbers of processes by which the batch divides.

    Args:
        prior: network with its layers in `blocks`; on the meta device, for its shapes alone.
        cost: cost of a step of one process.
        training: batch and chunks.
        compute: number format.
    """
    weights = weight_bytes(prior)
    blocks = [weight_bytes(block) for block in cast(nn.ModuleList, prior.blocks)]
    # Gathered weights, and as many gradients of them that are not summed yet.
    gathered = 2 * (weights - sum(blocks) + GATHERED_BLOCKS * max(blocks))
    learned = (LEARNED_COPIES + 1) * weights
    frozen = cost.state_bytes - learned
    # The backward pass keeps weights in the format of the products, whatever the batch.
    rounded = weights // 2 if compute.dtype == torch.bfloat16 else 0
    found = [ProcessMemory(1, cost.memory_bytes, cost.memory_bytes)]
    for processes in PROCESSES[1:]:
        chunk, rest = divmod(training.batch_size, processes * training.accumulation_steps)
        if rest:
            break
        of_images = (cost.activation_bytes - rounded) * chunk // training.chunk_images
        activations, own = rounded + of_images, learned // processes
        # DistributedDataParallel sums gradients in buffers of their size.
        replicated = frozen + learned + weights + activations
        # Process 0 draws pictures, between steps, with a whole copy.
        sharded = frozen + own + max(gathered + activations, weights)
        found.append(ProcessMemory(processes, replicated, sharded))
    return found


def fewest(found: Sequence[ProcessMemory], card_bytes: int) -> ProcessMemory | None:
    """The fewest processes that fit on cards of a size with a sharded prior; None if none do."""
    return next((one for one in found if fits(one.sharded_bytes, card_bytes)), None)


def fits(memory_bytes: int, card_bytes: int) -> bool:
    """Whether a step fits on a card, with room for what the memory does not count."""
    return memory_bytes < MOST_MEMORY * card_bytes

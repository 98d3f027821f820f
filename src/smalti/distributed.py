"""Sums over the processes of a run; with one process, nothing happens.

The processes are torchrun's; the process group is made by `stages`.
"""

import contextlib

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel


def is_distributed() -> bool:
    """Whether several processes train together."""
    return dist.is_available() and dist.is_initialized()


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if is_distributed() else 1


def rank() -> int:
    """Number of this process, from 0; process 0 writes and speaks."""
    return dist.get_rank() if is_distributed() else 0


def sum_over_processes(tensor: Tensor) -> Tensor:
    """The sum of a tensor over all processes; without a gradient, the argument is not changed."""
    if not is_distributed():
        return tensor.detach()
    total = tensor.detach().clone()
    dist.all_reduce(total)
    return total


def mean_over_processes(tensor: Tensor) -> Tensor:
    """The mean of a floating-point tensor over all processes; without a gradient."""
    return sum_over_processes(tensor) / world_size()


def mean_with_gradient(tensor: Tensor) -> Tensor:
    """The mean of a tensor over all processes, through which gradients flow back to all."""
    total: Tensor = all_reduce(tensor)  # type: ignore[no-untyped-call]
    return total / world_size()


def gather_batch(tensor: Tensor) -> Tensor:
    """The rows of all processes, (sum of B, ...), in order of rank; equal shapes, no gradient."""
    if not is_distributed():
        return tensor.detach()
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(parts, tensor.detach().contiguous())
    return torch.cat(parts)


def without_sync(module: nn.Module, unless: bool) -> contextlib.AbstractContextManager[object]:
    """Context for all but the last part of a batch: gradients are not averaged yet.

    Args:
        module: a network, wrapped for distributed training or not.
        unless: whether this is the last part.
    """
    if unless or not isinstance(module, DistributedDataParallel):
        return contextlib.nullcontext()
    return module.no_sync()

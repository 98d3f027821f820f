"""Communication between the processes of a run; a single process needs none.

Each process computes its share of every batch. All take the same path through a run, so that none
waits for another that never comes; only process 0 writes and logs.

`cluster` tells who started the processes; `training.processes` makes the process group.
"""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from smalti.config import InputError

T = TypeVar("T")


def is_distributed() -> bool:
    """Whether several processes train together."""
    return dist.is_available() and dist.is_initialized()


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if is_distributed() else 1


def rank() -> int:
    """Number of this process, from 0; only process 0 writes and logs."""
    return dist.get_rank() if is_distributed() else 0


def local_rank() -> int:
    """Number of this process among those of its machine, from 0; it chooses the card."""
    return int(os.environ.get("LOCAL_RANK", "0")) if is_distributed() else 0


def sum_over_processes(tensor: Tensor) -> Tensor:
    """Sum a tensor over all processes, without a gradient; the argument is not changed."""
    if not is_distributed():
        return tensor.detach()
    total = tensor.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


def mean_over_processes(tensor: Tensor) -> Tensor:
    """Average a floating-point tensor over all processes, without a gradient."""
    return sum_over_processes(tensor) / world_size()


def mean_with_gradient(tensor: Tensor) -> Tensor:
    """Average a tensor over all processes; gradients flow back to all of them."""
    total: Tensor = _SumWithGradient.apply(tensor)  # type: ignore[no-untyped-call]
    return total / world_size()


class _SumWithGradient(torch.autograd.Function):
    """Sums over processes; the gradient of each process is the sum of the gradients of all."""

    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        return sum_over_processes(tensor)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return sum_over_processes(gradient)


def gather_batch(tensor: Tensor) -> Tensor:
    """Gather the rows of all processes in order of rank: (sum of B, ...), without a gradient.

    The tensors must have equal shapes.
    """
    if not is_distributed():
        return tensor.detach()
    rows = tensor.detach().contiguous()
    shares = [torch.empty_like(rows) for _ in range(world_size())]
    dist.all_gather(shares, rows)
    return torch.cat(shares)


def largest(number: int, group: dist.ProcessGroup | None = None) -> int:
    """The largest of the numbers that the processes give."""
    if not is_distributed():
        return number
    number_of_all = torch.tensor(number)  # on the CPU: a card's work is not waited for
    dist.all_reduce(number_of_all, dist.ReduceOp.MAX, group)
    return int(number_of_all)


@contextlib.contextmanager
def together(group: dist.ProcessGroup | None = None) -> Iterator[None]:
    """Context that raises an InputError of one process on all processes, at its end.

    Nothing in the context may wait for another process: one that failed would never come.

    Args:
        group: process group over which they agree; None is the default group.

    Raises:
        InputError: the error of this process, or the message of the first process with an error.
    """
    if not is_distributed():
        yield
        return
    failure: InputError | None = None
    try:
        yield
    except InputError as error:
        failure = error
    if largest(failure is not None, group):
        lines: list[str | None] = [None] * world_size()
        dist.all_gather_object(lines, str(failure) if failure else None)
        raise failure or InputError(next(line for line in lines if line is not None))


def patient_group(patience: timedelta) -> dist.ProcessGroup | None:
    """Make a group of all processes in which they wait for each other so long; None for one."""
    return dist.new_group(timeout=patience, backend="gloo") if is_distributed() else None


def from_first(make: Callable[[], T], patience: timedelta | None = None) -> T:
    """Call a function in process 0 and give its result to all; the others wait for it.

    Args:
        make: function to call; its result must be small and plain data.
        patience: how long the others wait; None is as long as for anything else.

    Raises:
        InputError: `make` raised it in process 0; it is raised on all processes.
    """
    if not is_distributed():
        return make()
    made: list[T | None] = [None]
    group = patient_group(patience) if patience else None
    with together(group):
        if rank() == 0:
            made[0] = make()
    dist.broadcast_object_list(made)
    return cast(T, made[0])


def gather_objects(value: T) -> list[T]:
    """What each process gives, in order of rank; it must be small and plain data."""
    if not is_distributed():
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def wrap(module: nn.Module) -> nn.Module:
    """Wrap a module so that its gradients are the mean over all processes.

    Buffers are not exchanged: what changes them sees the batches of all processes.
    """
    if not is_distributed():
        return module
    device = next(module.parameters()).device
    devices = [device] if device.type == "cuda" else None
    with warnings.catch_warnings():
        # The name that newer versions want instead is not in all that are supported.
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        return DistributedDataParallel(module, device_ids=devices, broadcast_buffers=False)


def without_sync(module: nn.Module, unless: bool) -> contextlib.AbstractContextManager[object]:
    """Context in which gradients are not averaged yet, unless it is the last chunk of a batch.

    Those of a sharded module are averaged after each chunk, since no process could hold them whole.
    """
    if unless or not isinstance(module, DistributedDataParallel):
        return contextlib.nullcontext()
    return module.no_sync()

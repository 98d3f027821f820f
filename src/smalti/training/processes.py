"""Joins the processes that torchrun or srun started, and ends them together."""

import contextlib
import logging
import os
from collections.abc import Iterator
from datetime import timedelta

import torch
import torch.distributed as dist

from smalti.cluster import launch_variables, tasks_left_idle
from smalti.config import InputError
from smalti.distributed import is_distributed, largest
from smalti.training.loop import Stopped

PATIENCE = timedelta(minutes=30)
"""How long a process waits for another that is still connected, which may be saving or drawing."""
RENDEZVOUS = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

log = logging.getLogger(__name__)


class ProcessLostError(RuntimeError):
    """Another process of the run ended, or did not answer for long."""


@contextlib.contextmanager
def processes() -> Iterator[None]:
    """Context that joins the processes of a run; a single process has nothing to join.

    Inside it, every InputError must be raised on all processes (`distributed.together`).

    Raises:
        InputError: another program has the port at which they are to meet.
        ProcessLostError: the processes did not meet, or another one ended in the meantime.
    """
    variables = launch_variables()
    is_launched = all(name in variables for name in RENDEZVOUS)
    if is_distributed() or not is_launched or int(variables["WORLD_SIZE"]) == 1:
        _say_what_is_idle()
        yield
        return
    os.environ.update(variables)  # where PyTorch reads them
    _meet()
    try:
        yield
    except (InputError, Stopped):
        _leave_together()
        raise
    except RuntimeError as error:
        # gloo has no class of its own for a connection that was closed.
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise ProcessLostError(
            "another process of the run ended or does not answer: what it said itself tells why. "
            "The last checkpoint is kept; `smalti resume RUN` goes on from there"
        ) from error
    else:
        _leave_together()


def _meet() -> None:
    """Wait for the other processes, and make the group of all."""
    # Tensors on the CPU go over gloo on every machine: they are what processes agree on.
    has_nccl = torch.cuda.is_available() and dist.is_nccl_available()  # Windows has none
    backend = "cpu:gloo,cuda:nccl" if has_nccl else "gloo"
    try:
        dist.init_process_group(backend, timeout=PATIENCE)
    except dist.DistError as error:
        address, port = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
        if "EADDRINUSE" in str(error):
            raise InputError(
                f"port {port} is in use by another program, so the processes cannot meet there; "
                "MASTER_PORT in the environment (of all of them) names another"
            ) from error
        raise ProcessLostError(
            f"the processes of the run did not meet at {address}, port {port}: one of them ended "
            f"or did not come within {PATIENCE.seconds // 60} minutes; the same command tries again"
        ) from error


def _say_what_is_idle() -> None:
    tasks = tasks_left_idle()
    if tasks and not is_distributed():
        log.warning(
            "Slurm has %d tasks for this job, and this command runs once; put srun before it to "
            "run it in all of them",
            tasks,
        )


def _leave_together() -> None:
    """Wait for all: launchers end what still runs once one has ended with an error."""
    with contextlib.suppress(RuntimeError):  # one is gone already
        largest(0)
    dist.destroy_process_group()

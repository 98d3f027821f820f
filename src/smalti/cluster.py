"""What a cluster tells a process: its number among those of its command, and when to make room.

torchrun gives a process five variables. Each one that is missing is taken from those that Slurm's
srun sets for the tasks that it starts:

    RANK         SLURM_PROCID
    WORLD_SIZE   SLURM_STEP_NUM_TASKS
    LOCAL_RANK   SLURM_LOCALID
    MASTER_ADDR  the first host of SLURM_STEP_NODELIST, or without it of SLURM_JOB_NODELIST
    MASTER_PORT  a function of SLURM_JOB_ID and SLURM_STEP_ID

Only srun sets SLURM_STEP_NUM_TASKS. The tasks of the whole job (SLURM_NTASKS) are told to its batch
script and to an interactive shell too, where a command runs once and no other process would come.

A cluster that takes the machine back for another job sends SIGUSR1 before it does. All that can be
saved is saved then, and the exit code asks for the job to be queued again.
"""

import os
import re
import signal
from collections.abc import Mapping

from smalti.errors import InputError

REQUEUE_SIGNAL: int | None = getattr(signal, "SIGUSR1", None)
"""Signal to save and make room; Windows has none."""
REQUEUE_CODE = 75
"""Exit code of a command that made room: EX_TEMPFAIL of sysexits.h, to be tried again."""
STOP_SIGNALS = tuple(
    number for number in (signal.SIGINT, signal.SIGTERM, REQUEUE_SIGNAL) if number is not None
)
"""Signals after which a run finishes its step, saves and ends."""

_PARENT = os.getppid()  # when this process began

STEP_TASKS = "SLURM_STEP_NUM_TASKS"
LOWEST_PORT, PORTS = 15_000, 15_000
"""The ports of meeting points: below those that Linux gives to outgoing connections."""
STEPS_APART = 7  # so that few steps of one job meet those of the next jobs


def exit_code(signal_number: int) -> int:
    """Exit code of a command that a signal stopped, after everything was saved."""
    return REQUEUE_CODE if signal_number == REQUEUE_SIGNAL else 128 + signal_number


def launch_variables(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of torchrun, completed by those of Slurm; without a launcher some are missing.

    Raises:
        InputError: Slurm names no host.
    """
    found = _from_slurm(environment) if is_slurm_task(environment) else {}
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    return found | {name: environment[name] for name in names if name in environment}


def rank_of_process(environment: Mapping[str, str] = os.environ) -> int:
    """Number of this process among those of its command, from 0, also before they have met."""
    number = environment.get("SLURM_PROCID", "0") if is_slurm_task(environment) else "0"
    return int(environment.get("RANK", number))


def is_slurm_task(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether srun started this process itself, and not a torchrun that did."""
    return STEP_TASKS in environment and not is_torchrun_process(environment)


def is_torchrun_process(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in environment


def has_lost_torchrun(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the torchrun that started this process has ended, as where it was killed.

    On Windows a process is not told of it.
    """
    return is_torchrun_process(environment) and os.getppid() != _PARENT


def tasks_left_idle(environment: Mapping[str, str] = os.environ) -> int:
    """Number of a Slurm job's tasks if this command runs in one of them only, otherwise 0."""
    started = environment.get("WORLD_SIZE", environment.get(STEP_TASKS, "1"))
    tasks = int(environment.get("SLURM_NTASKS", "1"))
    return tasks if int(started) == 1 and tasks > 1 else 0


def ignore_stop_signals() -> None:
    """Leave the signals to the process that started this one, and that ends it.

    Ctrl-C goes to every process of a terminal, and Slurm too sends its signals to all processes.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def first_host(nodes: str) -> str:
    """The first host of a node list as Slurm writes it: node003 of `node[003-010,12],login`.

    Raises:
        InputError: it names no host.
    """
    # Commas inside brackets separate numbers, those outside separate hosts.
    first = re.match(r"(?:[^,\[\]]|\[[^\]]*\])+", nodes.strip())
    host = re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", first[0]) if first else ""
    if not host:
        raise InputError(
            f"Slurm's list of nodes is {nodes!r}, which names no host; MASTER_ADDR in the "
            "environment names the one where the processes meet"
        )
    return host


def _from_slurm(environment: Mapping[str, str]) -> dict[str, str]:
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST", "")
    job, step = (int(environment.get(f"SLURM_{name}_ID", "0")) for name in ("JOB", "STEP"))
    return {
        "RANK": environment.get("SLURM_PROCID", "0"),
        "WORLD_SIZE": environment[STEP_TASKS],
        "LOCAL_RANK": environment.get("SLURM_LOCALID", "0"),
        "MASTER_ADDR": environment.get("MASTER_ADDR") or first_host(nodes),
        # Jobs that share a machine must not meet each other.
        "MASTER_PORT": str(LOWEST_PORT + (job + STEPS_APART * step) % PORTS),
    }

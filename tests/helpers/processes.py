"""Runs a command as two processes."""

import os
import socket
import subprocess
import sys
from typing import NamedTuple

LOOPBACK = {"linux": "lo", "darwin": "lo0"}
NETWORK = {"GLOO_SOCKET_IFNAME": LOOPBACK[sys.platform]} if sys.platform in LOOPBACK else {}
"""The variable by which gloo stays on this machine; on Windows its own choice is taken."""


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    said: str


class Launcher(NamedTuple):
    """The variables in which a launcher tells a process of two where it stands."""

    common: dict[str, str]
    ranks: tuple[str, ...]
    """Names of those with the number of the process."""


TORCHRUN = Launcher({"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}, ("RANK", "LOCAL_RANK"))
SRUN = Launcher(
    {"SLURM_STEP_NUM_TASKS": "2", "SLURM_JOB_ID": "4711", "SLURM_JOB_NODELIST": "localhost,b[1-2]"},
    ("SLURM_PROCID", "SLURM_LOCALID"),
)


def run_as_two(command: list[str], launcher: Launcher = TORCHRUN) -> list[Ended]:
    """Run a Python command as two processes of one run, as a launcher would."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    shared = launcher.common | {"MASTER_PORT": port}
    # From Python 3.14 on, it tells what a process that died has left behind.
    shared |= {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore:resource_tracker"} | NETWORK
    both = [
        subprocess.Popen(
            [sys.executable, *command],
            env=os.environ | shared | dict.fromkeys(launcher.ranks, rank),
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        for rank in ("0", "1")
    ]
    said = [process.communicate()[1] for process in both]
    return [Ended(process.returncode, text) for process, text in zip(both, said, strict=True)]

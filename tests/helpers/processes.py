"""Runs a command as two processes."""

import os
import socket
import subprocess
import sys
from typing import NamedTuple


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    said: str


def run_as_two(command: list[str]) -> list[Ended]:
    """Run a Python command as two processes of one run, as torchrun would."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    shared |= {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    both = [
        subprocess.Popen(
            [sys.executable, *command],
            env=os.environ | shared | {"RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        for rank in ("0", "1")
    ]
    said = [process.communicate()[1] for process in both]
    return [Ended(process.returncode, text) for process, text in zip(both, said, strict=True)]

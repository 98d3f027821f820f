"""Runs a command with two actors of a local Ray, one of which is killed on the way."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def actors_of(process: int) -> list[int]:
    """Numbers of the actor processes that a process has started, by way of Ray's own processes."""
    parents, actors = {}, []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = (
                (entry / "stat")
                .read_text(encoding="utf-8", errors="replace")
                .rpartition(")")[2]
                .split()[1]
            )
            title = (entry / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        parents[int(entry.name)] = int(parent)
        if title.startswith(b"ray::") and b"_Actor" in title:
            actors.append(int(entry.name))

    def belongs(number: int) -> bool:
        return number == process or (number in parents and belongs(parents[number]))

    return [actor for actor in actors if belongs(actor)]


def run_and_kill_one(command: list[str], folder: Path, after: int) -> tuple[int, str]:
    """Run a command of smalti with two actors, and kill one after some shards are finished.

    Args:
        command: words of the command, which makes shards in a folder.
        folder: that folder.
        after: number of finished shards after which an actor is killed.

    Returns:
        Number of shards that were finished then, and what the command said.
    """
    pytest.importorskip("ray.data", reason="needs Ray: pip install 'smalti[ray]'")
    if not sys.platform.startswith("linux"):
        pytest.skip("finds the actors in /proc")
    words = [sys.executable, "-m", "smalti", *command, "--engine", "ray", "--actors", "2"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    process = subprocess.Popen(
        words,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    actors: list[int] = []
    while len(actors) < 2:  # they load the model before the first shard, which takes longer
        assert process.poll() is None, process.communicate()[0]
        actors = actors_of(process.pid)
    while (finished := len(list(folder.glob("shard-*.json")))) < after:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.001)
    os.kill(actors[0], signal.SIGKILL)
    said = process.communicate()[0]
    assert process.returncode == 0, said
    return finished, said

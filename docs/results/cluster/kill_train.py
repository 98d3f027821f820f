"""Kills training on two processes at random moments, and compares its end with an undisturbed run.

    python docs/results/cluster/kill_train.py vqgan --data SRC --out FILE.json
    python docs/results/cluster/kill_train.py prior --vqgan RUN --data SRC --out FILE.json

torchrun starts both processes. Killed (SIGKILL) are in turn torchrun with both, one process, and
the other one. Then the same command goes on. There are ten kills: at the start, in steps, while a
checkpoint is written, and in stage 2 while the codes are written. It reads /proc, so it needs
Linux.
"""

import argparse
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from smalti.training.checkpoint import newest_step
from smalti.training.log import read_metrics

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
COMMON = shlex.split("""--image.size 32 --training.device cpu --training.precision float32
    --training.total-steps 60 --training.batch-size 8 --training.log-steps 1
    --training.eval-steps 12 --training.picture-steps 12 --training.save-steps 4""")
VQGAN = shlex.split("""--vqgan.channels 16 --vqgan.channel-multipliers [1,1] --vqgan.code-dim 8
    --vqgan.codebook-size 16 --discriminator.filters 4 --discriminator.layers 1
    --loss.perceptual.kind none""")
PRIOR = shlex.split("--prior.layers 1 --prior.heads 2 --prior.width 16 --codes.views 16")
MOMENTS = {
    "vqgan": ["start", *["step", "save"] * 4, "start"],
    "prior": ["start", *["encode"] * 3, *["step", "save"] * 3],
}
VICTIMS = ("all", "0", "1")
PATIENCE_S = 120.0
"""Seconds in which the processes that are left must have ended."""
TIMES = frozenset({"seconds", "data_wait", "images_per_second"})
NOT_COMPARED = frozenset({"env.json", "curves.png", "metrics.jsonl", "training.json"})
"""Files with times, with the number of starts, or drawn from times."""


@dataclass
class Kill:
    """One kill, and what followed."""

    moment: str
    victim: str
    after_step: int
    """Last step that the log had."""
    saved_step: int
    """Step of the newest whole checkpoint."""
    half_written: list[str]
    """Temporary files and folders that the kill left."""
    survivor_seconds: float
    """Seconds from the kill to the end of both processes."""
    torchrun_seconds: float
    """Seconds from the kill to the end of torchrun."""
    resumed_from: int = 0
    """Step from which the next launch went on."""


class Launch:
    """A run of two processes under torchrun, as a context manager."""

    def __init__(self, command: list[str], run: Path) -> None:
        self.run, self.lines = run, list[str]()
        environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        self.torchrun = subprocess.Popen(
            [*TORCHRUN, "-m", "smalti", "train", *command, "--out", str(run)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.ranks = self._wait_for_ranks()

    def _read(self) -> None:
        assert self.torchrun.stderr is not None
        self.lines.extend(self.torchrun.stderr)

    def _wait_for_ranks(self) -> dict[str, int]:
        found: dict[str, int] = {}
        while len(found) < 2 and self.torchrun.poll() is None:
            found = {rank: pid for pid in children(self.torchrun.pid) for rank in rank_of(pid)}
            time.sleep(0.01)
        return found

    @property
    def is_alive(self) -> bool:
        """Whether torchrun runs."""
        return self.torchrun.poll() is None

    @property
    def resumed_from(self) -> int:
        """Step from which it went on, as it said itself; 0 if it began anew."""
        mark = "resuming from step "
        said = [line for line in self.lines if line.startswith(mark)]
        return int(said[0].removeprefix(mark)) if said else 0

    def kill(self, victim: str) -> tuple[float, float]:
        """Kill one process, or torchrun and both.

        Returns:
            Seconds until both processes have ended, and until torchrun has.
        """
        whole = [self.torchrun.pid, *self.ranks.values()]
        started = time.monotonic()
        for pid in whole if victim == "all" else [self.ranks[victim]]:
            os.kill(pid, signal.SIGKILL)
        while any(is_running(pid) for pid in self.ranks.values()):
            if time.monotonic() > started + PATIENCE_S:
                raise TimeoutError(f"{self.ranks}: a process outlives the kill of {victim}")
            time.sleep(0.01)
        ended = time.monotonic()
        self.torchrun.wait(timeout=PATIENCE_S)
        return round(ended - started, 2), round(time.monotonic() - started, 2)

    def finish(self) -> None:
        """Wait for the end of the run, which must be a good one."""
        code = self.torchrun.wait()
        self._reader.join()
        assert code == 0, "".join(self.lines[-30:])


def children(pid: int) -> list[int]:
    """Processes that a process started."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(number) for number in text.split()]


def rank_of(pid: int) -> Iterator[str]:
    """The number of a process among those of its run, if torchrun has told it one."""
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return
    yield from (one[5:].decode() for one in variables if one.startswith(b"RANK="))


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def is_step(line: str) -> bool:
    """Whether a line of a run's output tells of a step."""
    return line.startswith("step ")


def last_step(run: Path) -> int:
    """Last step that the log of a run has, or 0."""
    return max((line["step"] for line in read_metrics(run)), default=0)


def half_written(run: Path) -> list[str]:
    """Temporary files and folders in a run."""
    return sorted(str(path.relative_to(run)) for path in run.rglob(".tmp-*"))


def wait_for(moment: str, launch: Launch, chance: random.Random, seconds_of_start: float) -> None:
    """Return at a random moment of a kind, or when the run ends."""

    def until(seen: Callable[[], object]) -> None:
        while launch.is_alive and not seen():
            time.sleep(0.001)

    run = launch.run
    if moment == "start":
        end = time.monotonic() + seconds_of_start * chance.random()
        until(lambda: time.monotonic() > end or any(map(is_step, launch.lines)))
    elif moment == "encode":
        until(lambda: any(line.startswith("encoding ") for line in launch.lines))
        time.sleep(2 * chance.random())
    else:
        until(lambda: any(map(is_step, launch.lines)))
        wanted = last_step(run) + chance.randint(1, 8)
        until(lambda: last_step(run) >= wanted)
        if moment == "save":
            until(lambda: any((run / "checkpoints").glob(".tmp-*step_*")))
        time.sleep((0.02 if moment == "save" else 0.3) * chance.random())


def disturbed(command: list[str], run: Path, moments: list[str], start: float) -> list[Kill]:
    """Train with a kill at each of the moments, and then to the end."""
    chance, kills = random.Random(0), list[Kill]()
    for number, moment in enumerate(moments):
        launch = Launch(command, run)
        wait_for(moment, launch, chance, start)
        assert launch.is_alive, "".join(launch.lines[-30:])
        victim = VICTIMS[number % len(VICTIMS)]
        seconds = launch.kill(victim)
        if kills:
            kills[-1].resumed_from = launch.resumed_from
        saved = newest_step(run / "checkpoints")
        left = half_written(run)
        kills.append(Kill(moment, victim, last_step(run), saved, left, *seconds))
        print(kills[-1], flush=True)
    launch = Launch(command, run)
    launch.finish()
    kills[-1].resumed_from = launch.resumed_from
    return kills


def compare(run: Path, whole: Path) -> dict[str, object]:
    """How a run with kills differs from one without."""
    files, expected = contents(run), contents(whole)
    return {
        "files": len(expected),
        "other_files": sorted(files.keys() ^ expected.keys()),
        "changed_files": sorted(
            name for name in files.keys() & expected.keys() if files[name] != expected[name]
        ),
        "log_lines": len(numbers(whole)),
        "equal_log": numbers(run) == numbers(whole),
    }


def contents(run: Path) -> dict[str, bytes]:
    """Content of each file of a run that must not depend on kills."""
    paths = [path for path in run.rglob("*") if path.is_file() and path.name not in NOT_COMPARED]
    boards = run / "tb"
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in paths
        if boards not in path.parents
    }


def numbers(run: Path) -> list[dict[str, object]]:
    """Lines of a run's log without times."""
    return [
        {name: value for name, value in line.items() if name not in TIMES}
        for line in read_metrics(run)
    ]


def main() -> None:
    """Train undisturbed, then with kills, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=list(MOMENTS))
    parser.add_argument("--data", required=True)
    parser.add_argument("--vqgan", help="the tokenizer's run, for a prior")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    words = VQGAN if options.stage == "vqgan" else [*PRIOR, "--vqgan", options.vqgan]
    command = [options.stage, *words, "--data", options.data, *COMMON]
    with tempfile.TemporaryDirectory() as name:
        whole, killed = Path(name) / "whole", Path(name) / "killed"
        begun = time.monotonic()
        launch = Launch(command, whole)
        while launch.is_alive and not last_step(whole):
            time.sleep(0.1)
        start = time.monotonic() - begun
        launch.finish()
        kills = disturbed(command, killed, MOMENTS[options.stage], start)
        figures = {"kills": [asdict(kill) for kill in kills], **compare(killed, whole)}
    print(json.dumps(figures, indent=2))
    options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

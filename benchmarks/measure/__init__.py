"""How the benchmarks measure: contenders take turns, so that a busy moment hits all of them."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

Clock = Callable[[], float]

CLOCKS: Mapping[str, Clock] = {
    "wall": time.perf_counter,
    "processor": time.process_time,
}
"""On a busy machine the processor's time, with one thread, is the better clock."""


@dataclass(frozen=True)
class Timings:
    """Seconds of each contender's rounds, in the order they ran."""

    seconds: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        """Median seconds of one contender."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """Median over the rounds of `name`'s time divided by `other`'s in the same round."""
        pairs = zip(self.seconds[name], self.seconds[other], strict=True)
        return statistics.median(mine / theirs for mine, theirs in pairs)


def take_turns(
    contenders: Mapping[str, Callable[[], object]],
    rounds: int,
    warmup_rounds: int = 1,
    clock: Clock = time.perf_counter,
) -> Timings:
    """Time the contenders one after the other, round by round."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(warmup_rounds + rounds):
        for name, run in contenders.items():
            start = clock()
            run()
            if number >= warmup_rounds:
                seconds[name].append(clock() - start)
    return Timings(seconds)


def synchronized(run: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """The contender, which ends when a graphics card has done the work too."""

    def run_and_wait() -> None:
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run_and_wait


def shares_of_operations(run: Callable[[], object], rounds: int) -> dict[str, float]:
    """Share of the time of each of PyTorch's operations, the largest first.

    The time of an operation is that of this thread, without the operations that it calls.
    """
    run()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        for _ in range(rounds):
            run()
    spent = {event.key: event.self_cpu_time_total for event in profiled.key_averages()}
    total = sum(spent.values())
    ranked = sorted(spent.items(), key=lambda item: item[1], reverse=True)
    return {operation: microseconds / total for operation, microseconds in ranked}


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, in MB (10^6 bytes).

    Linux only. `ru_maxrss` would not do: a new process inherits its parent's.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def peak_mb_of(script: str, *arguments: str) -> float:
    """Run a script in a process of its own; it prints its peak as its last line."""
    command = [sys.executable, script, *arguments]
    result = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, encoding="utf-8"
    )
    return float(result.stdout.splitlines()[-1])

"""Times of several calls, measured in turn in one process, so that their ratios can be quoted."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch

ROUNDS = 3


def seconds_in_turn(
    calls: Mapping[str, Callable[[], object]], rounds: int = ROUNDS
) -> dict[str, float]:
    """Median time of each call; each round makes all calls once.

    What slows the machine down for a while slows all calls down. A first round is not counted where
    there are several.

    Args:
        calls: calls by name.
        rounds: number of rounds that count.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + (rounds > 1)):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(found[-rounds:]) for name, found in times.items()}

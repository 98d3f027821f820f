"""`torch.compile`: time of a step of stage 2 with it and without.

    python benchmarks/compilation.py [--rounds R] [--threads T]

6 layers of width 256, 256 tokens, batch 8, dropout 0.1, float32, on a processor. The time is that
of the processor if there is one thread, so that what runs beside it counts little. The first
compiled step, in which everything is compiled, stands apart.
"""

import argparse
import json
import time
from collections.abc import Callable

import torch
from measure import take_turns
from measure.random_codes import prior_configs, step_on_random_codes

BATCH = 8
PRIOR = {"kind": "gpt2", "layers": 6, "heads": 8, "width": 256, "dropout": 0.1}


def trial(compiled: bool) -> Callable[[], object]:
    """A step on random codes."""
    training = {"batch_size": BATCH, "compile": compiled}
    return step_on_random_codes(*prior_configs(PRIOR, training))


def main() -> None:
    """Print the times, and their ratio as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    trials = {"compiled": trial(True), "usual": trial(False)}
    start = time.perf_counter()
    trials["compiled"]()
    first = time.perf_counter() - start
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    timings = take_turns(trials, arguments.rounds, clock=clock)
    compiled, usual = timings.median("compiled"), timings.median("usual")
    print(f"first compiled step {first:.1f} s, then {compiled:.2f} s; usual {usual:.2f} s a step")
    print(json.dumps({"first": first, "compiled": compiled, "usual": usual}))


if __name__ == "__main__":
    main()

"""Which operations take the time of encoding, of a step of either stage and of sampling.

    python benchmarks/profile_steps.py [NAME...] [--threads T] [--steps N] [--rows R]

The networks are those of encode.py, train_step.py, prior_step.py and sampling.py. The time of an
operation is that of the main thread, without the operations that it calls. Shares include what the
profiler adds, which is more for small operations.
"""

import argparse
import json
from collections.abc import Callable, Mapping

import torch
from encode import encoded_together
from measure import shares_of_operations
from prior_step import CODES, GRID, our_step
from train_step import our_autoencoder, our_stage1_step

from sampling import our_model, ours

CHANNELS, BATCH = 32, 8
ENCODED_PX, TRAINED_PX = 256, 64
TOKENS = 64  # of each sample; a cache has room for 256

Run = Callable[[], object]


def encoding() -> Run:
    """The codes of one batch of `smalti encode`."""
    vqgan = our_autoencoder(CHANNELS).eval()
    count = encoded_together(ENCODED_PX, ENCODED_PX)
    images = torch.rand(count, 3, ENCODED_PX, ENCODED_PX) * 2 - 1
    return lambda: vqgan.encode(images)


def stage1() -> Run:
    """A step of stage 1."""
    step = our_stage1_step(CHANNELS, torch.device("cpu"))
    images = torch.rand(BATCH, 3, TRAINED_PX, TRAINED_PX) * 2 - 1
    return lambda: step(images)


def stage2() -> Run:
    """A step of stage 2."""
    shape = argparse.Namespace(layers=6, heads=4, width=256, device="cpu")
    return our_step(shape, torch.randint(CODES, (BATCH, GRID, GRID)))


def sampling(batch: int) -> Run:
    """The tokens of a batch of samples."""
    cpu = torch.device("cpu")
    model = our_model(argparse.Namespace(layers=12, heads=12, width=768, tokens=256, device=cpu))
    return lambda: ours(model, batch, TOKENS)


PROFILED: dict[str, Callable[[], Run]] = {
    "encoding": encoding,
    "stage1": stage1,
    "stage2": stage2,
    "sampling1": lambda: sampling(1),
    "sampling4": lambda: sampling(4),
}


def print_table(name: str, shares: Mapping[str, float]) -> None:
    """The shares of one profile, for people."""
    print(f"{name}, float32, {torch.get_num_threads()} thread(s)")
    for operation, share in shares.items():
        print(f"{100 * share:8.1f} %  {operation}")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PROFILED)}; all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rows", type=int, default=12, help="of each table")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in PROFILED:
            parser.error(f"{name} is none of {', '.join(PROFILED)}")
    return arguments


def main() -> None:
    """Profile and print."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    found = {}
    for name in arguments.names or PROFILED:
        shares = shares_of_operations(PROFILED[name](), arguments.steps)
        highest = dict(list(shares.items())[: arguments.rows])
        print_table(name, highest)
        found[name] = {operation: round(share, 4) for operation, share in highest.items()}
    print(json.dumps(found))


if __name__ == "__main__":
    main()

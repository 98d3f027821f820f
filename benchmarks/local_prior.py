"""A large image by the local prior, against the exact sliding window of the paper's prior.

    python benchmarks/local_prior.py [--layers N] [--heads N] [--width W] [--rows H] [--columns W]
        [--batch B] [--rounds R] [--threads T]

Both priors have as many layers and channels. The paper's reads a window of 16x16 codes, which
slides; ours is the exact way of `sliding_window.py`, several times as fast as the plain one. The
local prior attends to the 8 rows above and 8 columns on either side, and reads each code once. The
default canvas is that of 832x1280 pixels at f = 16.
"""

import json

import torch
from measure import take_turns
from sliding_window import CONDITIONERS, Task, parse_arguments

from smalti.prior.gpt.config import GPT2Config
from smalti.prior.local.config import LocalConfig


def main() -> None:
    """Measure and print."""
    size = parse_arguments(__doc__.splitlines()[0], rows=52, columns=80)
    torch.set_num_threads(size.threads)
    print(
        f"{size.rows}x{size.columns} codes, batch {size.batch}, {size.layers} layers, width "
        f"{size.width}, float32, {size.threads} thread(s), median of {size.rounds}"
    )
    print(f"{'':16}{'ms a code':>18}{'window / local':>16}")
    print(f"{'':16}{'window':>9}{'local':>9}{'time':>16}")
    shape = (size.batch, size.rows, size.columns)
    ratios: dict[str, float] = {}
    for kind in CONDITIONERS:
        window, local = (
            Task(
                kind,
                config(layers=size.layers, heads=size.heads, width=size.width, dropout=0),
                shape,
            )
            for config in (GPT2Config, LocalConfig)
        )
        timings = take_turns(
            {"window": window.ours, "local": local.ours}, size.rounds, warmup_rounds=0
        )
        ratios[kind] = timings.ratio("window", "local")
        ms = [
            1e3 * timings.median(name) / (size.rows * size.columns) for name in ("window", "local")
        ]
        print(f"{kind:16}{ms[0]:9.2f}{ms[1]:9.2f}{ratios[kind]:16.2f}")
    print(json.dumps({f"{kind}_vs_window": round(ratio, 3) for kind, ratio in ratios.items()}))


if __name__ == "__main__":
    main()

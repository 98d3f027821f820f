"""How far two processes come from one: the largest difference of a weight after 20 steps.

    python docs/results/distributed/measure.py --data PHOTOS --out figures.json

Trains the defaults of both stages in float32 on a processor, with one process and with two of
torchrun, and compares the weights that they leave; stage 2 also without dropout, replaced tokens
and dropped conditions, which each process draws for itself.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from smalti.model_folder import read_tensors

STEPS = 20
SAME = ["--training.total_steps", str(STEPS), "--training.device", "cpu"]
SAME += ["--training.precision", "float32"]
WITHOUT_CHANCE = ["--prior.dropout", "0", "--token_keep", "1", "--condition_drop", "0"]
TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]


def train(stage: str, options: Sequence[str], folder: Path) -> list[Path]:
    """Train with one process and with two; returns the two runs."""
    runs = []
    for processes, launcher in (("one", []), ("two", TORCHRUN)):
        out = folder / processes
        command = [sys.executable, "-m", *launcher, "smalti", "train", stage]
        subprocess.run([*command, *options, *SAME, "--out", str(out)], check=True)
        runs.append(out)
    return runs


def largest_difference(runs: Sequence[Path]) -> float:
    """Largest difference of a weight between the last checkpoints of two runs."""
    one, two = (
        read_tensors(run / f"checkpoints/step_{STEPS:08}/model.safetensors") for run in runs
    )
    return max(float((one[name].float() - two[name].float()).abs().max()) for name in one)


def main() -> None:
    """Train, compare and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), ["--data", options.data]
        tokenizers = train("vqgan", data, folder / "vqgan")
        on_codes = [*data, "--vqgan", str(tokenizers[0])]
        figures = {
            "steps": STEPS,
            "vqgan": largest_difference(tokenizers),
            "prior": largest_difference(train("prior", on_codes, folder / "prior")),
            "prior without dropout, replaced tokens and dropped conditions": largest_difference(
                train("prior", [*on_codes, *WITHOUT_CHANCE], folder / "plain")
            ),
        }
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

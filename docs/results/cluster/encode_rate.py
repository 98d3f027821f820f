"""Images a second that one process encodes, with the decoding of the pictures.

    python docs/results/cluster/encode_rate.py --model MODEL --data SRC --size 256 --out FILE.json

Runs `smalti encode` with one thread and no other worker, and reads what it says.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path


def rate(model: str, data: str, options: list[str]) -> float:
    """Encode into a new folder; the images a second that the command says."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "smalti", "encode", model, "--data", data, *options]
        done = subprocess.run(
            [*command, "--device", "cpu", "--out", f"{name}/codes"],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            check=True,
        )
    found = re.search(r"encoded: .*, ([0-9.]+) a second", done.stdout)
    assert found is not None, done.stdout
    return float(found[1])


def main() -> None:
    """Measure each setting and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--size", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    settings = {"one view": [], "mirrored too": ["--flip"], "four crops": ["--crops", "4"]}
    figures = {}
    for name, words in settings.items():
        figures[name] = rate(options.model, options.data, ["--size", options.size, *words])
        print(name, figures[name])
    options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Kills `smalti encode` at random moments, and looks for lost, doubled or changed images.

    python docs/results/cluster/kill_encode.py --model MODEL --data SRC --size 32 --out FILE.json

The killed runs write into one folder, each going on where the one before was killed. A run is
killed while it encodes: after one to four more shards, and up to the time that a shard takes.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from safetensors.torch import load_file

KILLS = 10


def keys_in(folder: Path) -> Counter[str]:
    """How often the shards of a folder have each key."""
    keys: Counter[str] = Counter()
    for path in sorted(folder.glob("shard-*.safetensors")):
        shard = load_file(path)
        text, ends = bytes(shard["keys"].tolist()), shard["key_ends"].tolist()
        keys.update(text[start:end].decode() for start, end in zip([0, *ends], ends, strict=False))
    return keys


def contents(folder: Path) -> dict[str, bytes]:
    """Content of the shards of a folder, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("shard-*.safetensors"))}


def records(folder: Path) -> int:
    """Number of finished shards in a folder."""
    return len(list(folder.glob("shard-*.json")))


def kill_after(shards: int, seconds: float, command: list[str], folder: Path) -> None:
    """Encode into a folder, and kill the process so long after so many more shards."""
    wanted = records(folder) + shards
    process = subprocess.Popen([*command, folder])
    while records(folder) < wanted and process.poll() is None:
        time.sleep(0.001)
    time.sleep(seconds)
    process.kill()
    process.wait()


def main() -> None:
    """Encode undisturbed, then with kills, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--model", "--data", "--size"):
        parser.add_argument(name, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    command = [sys.executable, "-m", "smalti", "encode", options.model, "--data", options.data]
    command += ["--size", options.size, "--shard-images", "10", "--device", "cpu", "--out"]
    with tempfile.TemporaryDirectory() as name:
        whole, killed = Path(name) / "whole", Path(name) / "killed"
        started = time.monotonic()
        subprocess.run([*command, whole], check=True)
        seconds_of_shard = (time.monotonic() - started) / records(whole)
        chance = random.Random(0)
        finished = []
        for _ in range(KILLS):
            kill_after(chance.randint(1, 4), seconds_of_shard * chance.random(), command, killed)
            finished.append(records(killed))
        subprocess.run([*command, killed], check=True)
        keys = keys_in(killed)
        figures = {
            "shards": records(whole),
            "finished_after_each_kill": finished,
            "images": len(keys_in(whole)),
            "lost": len(keys_in(whole).keys() - keys.keys()),
            "doubled": sum(count > 1 for count in keys.values()),
            "equal_files": contents(whole) == contents(killed),
        }
    print(figures)
    options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Kills an actor of a local Ray that encodes and draws, and looks for lost or doubled images.

    python docs/results/cluster/kill_ray.py --model MODEL --prior RUN --data SRC --size 16 \
        --out FILE.json

The same shards are made without Ray, and with two actors, one of which is killed after five shards.
Linux alone, as it finds the actors in /proc.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from pathlib import Path

from safetensors.torch import load_file

KILLED_AFTER = 5


def actors_below(process: int) -> list[int]:
    """Numbers of the actors among the processes that a process, or one of these, started."""
    found = []
    for entry in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, entry.read_text(encoding="utf-8").split()):
            title = Path(f"/proc/{child}/cmdline").read_bytes()
            found += [child] if b"_Actor" in title else actors_below(child)
    return found


def finished(folder: Path) -> int:
    """Number of finished shards in a folder."""
    return len(list(folder.glob("shard-*.json")))


def contents(folder: Path) -> dict[str, bytes]:
    """Content of the shards of a folder, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("shard-*.[st]*"))}


def images_in(folder: Path) -> Counter[str]:
    """How often the shards of a folder hold each image."""
    images: Counter[str] = Counter()
    for path in folder.glob("shard-*.safetensors"):
        shard = load_file(path)
        text, ends = bytes(shard["keys"].tolist()), shard["key_ends"].tolist()
        images.update(
            text[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)
        )
    for path in folder.glob("shard-*.tar"):
        with tarfile.open(path) as tar:
            images.update(name for name in tar.getnames() if name.endswith(".png"))
    return images


def make_and_kill(command: list[str], folder: Path) -> int:
    """Make shards with two actors, kill one, and return how many shards were finished then."""
    process = subprocess.Popen([*command, str(folder), "--engine", "ray", "--actors", "2"])
    while finished(folder) < KILLED_AFTER and process.poll() is None:
        time.sleep(0.001)
    os.kill(actors_below(process.pid)[0], signal.SIGKILL)
    at_kill = finished(folder)
    if process.wait():
        sys.exit(f"{command} failed")
    return at_kill


def measure(command: list[str]) -> dict[str, object]:
    """Make shards with and without Ray, and compare."""
    with tempfile.TemporaryDirectory() as name:
        plain, by_ray = Path(name) / "plain", Path(name) / "ray"
        subprocess.run([*command, str(plain)], check=True)
        at_kill = make_and_kill(command, by_ray)
        wanted, images = images_in(plain), images_in(by_ray)
        return {
            "shards": finished(plain),
            "finished_at_the_kill": at_kill,
            "images": len(wanted),
            "lost": len(wanted.keys() - images.keys()),
            "doubled": sum(count > 1 for count in images.values()),
            "equal_files": contents(plain) == contents(by_ray),
        }


def main() -> None:
    """Encode a data set, and draw a set of samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--model", "--prior", "--data", "--size"):
        parser.add_argument(name, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    smalti = [sys.executable, "-m", "smalti"]
    encode = [*smalti, "encode", options.model, "--data", options.data, "--size", options.size]
    encode += ["--shard-images", "10", "--device", "cpu", "--out"]
    sample = [*smalti, "sample", options.prior, "-n", "200", "--shard-images", "4"]
    sample += ["--device", "cpu", "--out"]
    figures = {"encode": measure(encode), "sample": measure(sample)}
    print(figures)
    options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

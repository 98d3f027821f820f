"""Memory and start of `smalti train prior --codes` over ever more shards of random codes.

    python docs/results/cluster/prior_memory.py --out prior_memory.json

Each shard has 1,000 images of 16x16 codes. A run has two hundred steps of 32 images. Its memory is
read from /proc twenty times a second, so this needs Linux.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

from smalti.codes.encode import views_of
from smalti.codes.manifest import Encoding, ShardRecord, begin_folder, join
from smalti.codes.shard_files import Columns, write_shard
from smalti.files import sha256
from smalti.shard_folder import write_record
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN
from smalti.weights import weights_hash

IMAGES, GRID, FACTOR, CODEBOOK_SIZE = 1_000, 16, 4, 1_024
TINY = "--prior.layers 2 --prior.heads 2 --prior.width 64 --training.precision float32"
STEPS = "--training.total-steps 200 --training.batch-size 32 --training.log-steps 1"
REST = "--training.device cpu --training.eval-steps 200 --training.picture-steps 200"


def make_codes(folder: Path, tokenizer: VQGAN, shards: int) -> None:
    """Write random codes, as if a tokenizer had made them."""
    encoding = Encoding(
        tokenizer=weights_hash(tokenizer),
        codebook_size=CODEBOOK_SIZE,
        downsampling_factor=FACTOR,
        size=(FACTOR * GRID, FACTOR * GRID),
        resize_px="crop",
        small="error",
        seed=0,
        views=views_of(1, flip=False),
        classes=None,
        file_format="safetensors",
        images=IMAGES * shards,
        shards=shards,
    )
    begin_folder(folder, encoding)
    generator = torch.Generator().manual_seed(0)
    for number in range(shards):
        codes = torch.randint(CODEBOOK_SIZE, (IMAGES, GRID, GRID), generator=generator)
        keys = [f"{number}/{row}" for row in range(IMAGES)]
        path = folder / encoding.name_of(number)
        write_shard(path, Columns(keys, None, {"codes_0": codes.to(torch.uint16)}), encoding)
        record = ShardRecord(
            file=path.name,
            images=IMAGES,
            left_out=0,
            bytes=path.stat().st_size,
            sha256=sha256(path),
            source="",
            names_sha256="",
            tokenizer=encoding.tokenizer,
        )
        write_record(folder, number, record)
    join(folder)


def train(command: list[str]) -> dict[str, float]:
    """Train, and tell the largest memory in MiB, the time to the first step and that of all."""
    started = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, encoding="utf-8")
    peak = {"own_mib": 0.0, "mapped_mib": 0.0}
    watch = threading.Thread(target=watch_memory, args=(process, peak))
    watch.start()
    first = 0.0
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step 1/"):
            first = time.monotonic() - started
    watch.join()
    assert process.wait() == 0, command
    seconds = time.monotonic() - started
    return peak | {"first_step_seconds": round(first, 1), "seconds": round(seconds, 1)}


def watch_memory(process: subprocess.Popen[str], peak: dict[str, float]) -> None:
    """Keep the largest memory of a process: its own, and pages of files that it has mapped."""
    names = {"RssAnon": "own_mib", "RssFile": "mapped_mib"}
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        fields = dict(line.split(":", 1) for line in status.splitlines())
        for field, name in names.items():
            if field in fields:
                peak[name] = max(peak[name], round(int(fields[field].split()[0]) / 1024, 1))
        time.sleep(0.05)


def main() -> None:
    """Make codes, train and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--shards", type=int, nargs="+", default=[10, 100, 1000])
    options = parser.parse_args()
    torch.manual_seed(0)
    config = VQGANConfig(
        channels=8, norm_groups=2, channel_multipliers=(1, 1, 1), codebook_size=CODEBOOK_SIZE
    )
    tokenizer = VQGAN(config)
    figures = []
    with tempfile.TemporaryDirectory() as name:
        tokenizer.save_pretrained(f"{name}/tokenizer")
        for shards in options.shards:
            codes = Path(name) / f"codes{shards}"
            make_codes(codes, tokenizer, shards)
            command = [sys.executable, "-m", "smalti", "train", "prior", "--codes", str(codes)]
            command += ["--vqgan", f"{name}/tokenizer", "--out", f"{name}/run{shards}"]
            command += f"{TINY} {STEPS} {REST}".split()
            size = sum(file.stat().st_size for file in codes.iterdir()) / 2**20
            found = {"shards": shards, "images": IMAGES * shards, "codes_mib": round(size, 1)}
            figures.append(found | train(command))
            print(figures[-1])
    options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

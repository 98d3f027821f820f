"""Opens a data set of very many small tars, without and with an index, and begins a training on it.

    python docs/results/cluster/many_tars.py --tars FOLDER --count 100000 --out FILE.json

Each tar has two pictures of 32x32 pixels with their classes. FOLDER is made if it is missing. Each
line is a process of its own: seconds of processor time, with the processes that it starts, and
seconds by the clock, with the imports, and the largest memory.
"""

import argparse
import io
import json
import os
import shlex
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

PICTURES = 64
OPEN = "import sys; from smalti.data.sources import open_source; open_source(sys.argv[1], {})"
TRAIN = shlex.split("""-m smalti train vqgan --image.size 32 --training.device cpu
    --training.precision float32 --training.total-steps 1 --training.batch-size 8
    --training.eval-images 8 --vqgan.channels 16 --vqgan.channel-multipliers [1,1]
    --vqgan.code-dim 8 --vqgan.codebook-size 16 --discriminator.filters 4
    --discriminator.layers 1 --loss.perceptual.kind none""")


def make_tars(folder: Path, count: int) -> None:
    """Write tars of two pictures each, with a class of ten beside each picture."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    pictures = []
    for _ in range(PICTURES):
        file = io.BytesIO()
        pixels = generator.integers(0, 256, (4, 4, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pixels).save(file, "JPEG")
        pictures.append(file.getvalue())
    for number in range(count):
        path = folder / f"{number:06d}.tar"
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for picture in (2 * number, 2 * number + 1):
                add(tar, f"{picture:06d}.jpg", pictures[picture % PICTURES])
                add(tar, f"{picture:06d}.cls", str(number % 10).encode())


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file to a tar."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def measured(arguments: list[str]) -> dict[str, float]:
    """Time and memory of a Python process."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, *arguments], stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, arguments
    return {
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "seconds": round(time.monotonic() - started, 1),
        "memory_mib": used.ru_maxrss // 1024,
    }


def main() -> None:
    """Make the tars, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tars", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    folder = options.tars
    if not folder.is_dir():
        make_tars(folder, options.count)
    index = folder / ".smalti-tars.safetensors"
    index.unlink(missing_ok=True)
    figures: dict[str, object] = {"tars": len(list(folder.glob("*.tar")))}
    steps = {
        "imports": ["-c", "from smalti.data.sources import open_source"],
        "without_an_index": ["-c", OPEN.format(False), str(folder)],
        "making_the_index": ["-m", "smalti", "inspect", str(folder), "--index"],
        "with_the_index": ["-c", OPEN.format(False), str(folder)],
        "with_classes": ["-c", OPEN.format(True), str(folder)],
    }
    for name, arguments in steps.items():
        figures[name] = measured(arguments)
        print(name, figures[name], flush=True)
    with tempfile.TemporaryDirectory() as run:
        train = [*TRAIN, "--data", str(folder), "--out", f"{run}/run"]
        figures["training_of_one_step"] = measured(train)
    figures["index_mib"] = round(index.stat().st_size / 2**20, 1)
    print(json.dumps(figures, indent=2))
    options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

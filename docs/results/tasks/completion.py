"""Do completions heed what is kept? Nats a token of the lower half of images, by the upper one.

    python docs/results/tasks/completion.py RUN --data DATA [-n 32] [--size 96]

The upper half is the image's own, or that of another.
"""

import argparse
import json
from pathlib import Path

import torch
from measure import images_of, read
from stride import nats_of

from smalti.sampling.pipeline import Pipeline


def main() -> None:
    """Measure, and print the two figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("-n", type=int, default=32)
    parser.add_argument("--size", type=int, default=None, help="side in pixels")
    options = parser.parse_args()

    pipeline = Pipeline.from_pretrained(options.run)
    batch = read(images_of(options.run, options.data, pipeline, options.size).held_out, options.n)
    told = pipeline.encode_conditions(pipeline.conditioning.batch_values(batch))
    codes = pipeline.tokenizer.encode(batch.images)
    half = codes.shape[1] // 2
    mixed = torch.cat([codes.roll(len(codes) // 2, 0)[:, :half], codes[:, half:]], 1)
    figures = {
        "images": len(codes),
        "own": float(nats_of(pipeline, codes, told)[:, half:].mean()),
        "other": float(nats_of(pipeline, mixed, told)[:, half:].mean()),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

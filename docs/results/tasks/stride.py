"""What a larger `--stride` costs: nats a token of real images under the sliding window.

    python docs/results/tasks/stride.py RUN --data DATA --size 192 [-n 16] [--strides 1 2 3 4 6]

Each held-out image, cut to SIZE, is read as sampling would draw it, but the code that is kept is
that of the image; its probability is noted. Temperature 1, no top-k, no guidance.
"""

import argparse
import time
from pathlib import Path

import torch
from measure import images_of, read
from torch import Tensor

from smalti.sampling.canvas import Canvas
from smalti.sampling.config import SamplingConfig
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.sliding_window import sample_canvas
from smalti.sampling.window_plan import plan


def nats_of(pipeline: Pipeline, codes: Tensor, told: dict[str, Tensor], stride: int = 1) -> Tensor:
    """Nats (B, H, W) of codes (B, H, W), each in the window that sampling would give it."""
    true = codes.flatten(1)
    nats = torch.zeros(true.shape)

    def follow(probabilities: Tensor, step: int) -> Tensor:
        nats[:, step] = -probabilities.gather(1, true[:, step, None]).squeeze(1).log()
        return true[:, step]

    canvas = Canvas.unknown(torch.zeros_like(codes))
    config = SamplingConfig(top_k=0, stride=stride)
    sample_canvas(
        pipeline.prior, pipeline.config, pipeline.conditioning, told, canvas, config, follow
    )
    return nats.view(codes.shape)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--size", type=int, required=True, help="side in pixels")
    parser.add_argument("-n", type=int, default=16)
    parser.add_argument("--strides", type=int, nargs="+", default=[1, 2, 3, 4, 6])
    options = parser.parse_args()

    pipeline = Pipeline.from_pretrained(options.run)
    batch = read(images_of(options.run, options.data, pipeline, options.size).held_out, options.n)
    told = pipeline.encode_conditions(pipeline.conditioning.batch_values(batch))
    codes = pipeline.tokenizer.encode(batch.images)
    config = pipeline.config
    print("| stride | nats a token | windows | seconds |\n| --- | --- | --- | --- |")
    for stride in options.strides:
        windows = plan(*codes.shape[1:], config.grid_height, config.grid_width, stride)
        start = time.perf_counter()
        found = float(nats_of(pipeline, codes, told, stride).mean())
        print(f"| {stride} | {found:.3f} | {len(windows)} | {time.perf_counter() - start:.0f} |")


if __name__ == "__main__":
    main()

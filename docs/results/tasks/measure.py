"""Does a condition steer its samples? Of held-out images, told their own condition or another's.

    python docs/results/tasks/measure.py RUN --data DATA --out FOLDER [-n 8] [--guidance 1]

Of each image's condition, samples are drawn; FOLDER/grid.png shows condition, image, reconstruction
and two samples in columns. What is read back from the samples is compared with the condition that
they were told, and, shuffled, with that of the next image: a condition that is ignored gives twice
the same number.

edges           share of the told edges that lie within a pixel of one of the sample's (recall), and
                the reverse (precision), as their harmonic mean
low_resolution  PSNR in dB of the shrunk sample against the told small picture
others          nll only
nll             nats a token of the image itself, told its own condition and the next image's
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from smalti.data.dataset import ImageDataset, split_held_out
from smalti.data.sources import open_source
from smalti.metrics.nll import nats_per_token
from smalti.runs import PriorRunConfig, read_run_config
from smalti.sampling.draw import seeded_draw
from smalti.sampling.filters import SamplingConfig
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.sheet import contact_sheet
from smalti.sampling.sliding_window import Canvas
from smalti.sequence.conditioning import values_of
from smalti.stages.conditions import open_conditions
from smalti.types import Batch


def read_images(run: Path, data: str, pipeline: Pipeline, count: int) -> Batch:
    """The first held-out images of a run's own data set, or of another one."""
    config = PriorRunConfig.model_validate(read_run_config(run))
    told = open_conditions(config, run, pipeline.tokenizer)
    paired = told.paired(config)
    source = open_source(data, told.has_classes)
    dataset = ImageDataset([source], config.image, config.seed, paired=paired)
    if data in config.data:
        dataset = split_held_out(dataset, config.held_out).held_out or dataset
    samples = [dataset.load_center(index).sample for index in range(min(count, len(dataset)))]
    read = [sample for sample in samples if sample is not None]
    return Batch(
        [sample.key for sample in read],
        torch.stack([sample.image for sample in read]),
        None,
        {kind: torch.stack([s.conditions[kind] for s in read]) for kind in read[0].conditions},
    )


def draw(pipeline: Pipeline, told: dict[str, Tensor], guidance: float, seed: int) -> Tensor:
    """Images (B, 3, H, W) drawn from codes of conditions."""
    count, config = len(next(iter(told.values()))), pipeline.config
    cells = config.grid_height * config.grid_width
    codes = torch.zeros(count, config.grid_height, config.grid_width, dtype=torch.int64)
    canvas = Canvas.unknown(codes)
    drawn = seeded_draw(seed, range(count), cells, pipeline.device)
    pipeline.fill(canvas, told, drawn, SamplingConfig(guidance=(guidance,)))
    return pipeline.decode(canvas.codes)


@torch.no_grad()
def nll(pipeline: Pipeline, codes: Tensor, told: dict[str, Tensor]) -> float:
    """Mean nats a token of codes (B, h, w) under conditions."""
    sequence = pipeline.layout.join(
        pipeline.conditioning.tokens(told), pipeline.ordering.to_tokens(codes)
    )
    logits = pipeline.layout.image_logits(pipeline.prior.logits(sequence.tokens))
    return float(nats_per_token(logits, sequence.targets).mean())


def edge_overlap(images: Tensor, told: Tensor) -> float:
    """F1 of the edges of images (B, 3, H, W) and told ones (B, 1, H, W), a pixel apart at most."""
    from smalti.content import EdgesContent
    from smalti.data.readers import EdgeReader
    from smalti.ranges import to_pil

    reader = EdgeReader(EdgesContent())
    found = torch.stack([reader.to_image(to_pil(image)) for image in images]) > 0
    wanted = told > 0

    def near(edges: Tensor) -> Tensor:
        return F.max_pool2d(edges.float(), 3, stride=1, padding=1) > 0

    recall = (wanted & near(found)).sum() / wanted.sum()
    precision = (found & near(wanted)).sum() / found.sum().clamp(min=1)
    return float(2 * recall * precision / (recall + precision))


def shrunk_psnr(images: Tensor, told: Tensor) -> float:
    """PSNR in dB, at an eighth of the size, of images and told pictures (B, 3, H, W)."""
    small, wanted = F.avg_pool2d(images, 8), F.avg_pool2d(told, 8)
    return float(10 * torch.log10(4 / (small - wanted).square().mean()))


READINGS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "edges": edge_overlap,
    "low_resolution": shrunk_psnr,
}


def main() -> None:
    """Draw, compare and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("-n", type=int, default=16)
    parser.add_argument("--guidance", type=float, default=1.0)
    options = parser.parse_args()

    pipeline = Pipeline.from_pretrained(options.run)
    batch = read_images(options.run, options.data, pipeline, options.n)
    told = pipeline.encode_conditions(values_of(batch))
    other = {kind: codes.roll(1, 0) for kind, codes in told.items()}
    codes = pipeline.tokenizer.encode(batch.images)
    samples = [draw(pipeline, told, options.guidance, seed) for seed in (0, 1)]
    figures: dict[str, object] = {
        "images": len(batch.keys),
        "guidance": options.guidance,
        "nll": {"own": nll(pipeline, codes, told), "other": nll(pipeline, codes, other)},
    }
    reconstructions = pipeline.decode(codes)
    for kind in set(batch.conditions) & READINGS.keys():
        wanted, read = batch.conditions[kind], READINGS[kind]
        figures[kind] = {
            "samples, own": read(samples[0], wanted),
            "samples, other": read(samples[0], wanted.roll(1, 0)),
            "reconstructions": read(reconstructions, wanted),
        }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    content = pipeline.tokenizer.content
    shown = [
        [pipeline.condition_tokenizers[kind].content.draw(one) for one in batch.conditions[kind]]
        for kind in pipeline.condition_tokenizers
    ]
    for images in (batch.images, reconstructions, *samples):
        shown.append([content.draw(image) for image in images])
    columns = len(batch.keys)
    contact_sheet([picture for row in shown for picture in row], columns).save(
        options.out / "grid.png"
    )
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

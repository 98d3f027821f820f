"""Does a condition steer its samples? Of held-out images, told their own condition or another's.

    python docs/results/tasks/measure.py RUN --data DATA --out FOLDER \
        [-n 16] [--guidance 1] [--top-k 0]

Of each image's condition, samples are drawn; FOLDER/grid.jpg shows condition, image, reconstruction
and two samples in columns. What is read back from the samples is compared with the condition that
they were told, and, shuffled, with that of another: a condition that is ignored gives twice
the same number.

segmentation    share of the pixels in which a segmenter reads the told label (see `readers.py`)
class           share of the samples in which a classifier reads the told class (see `readers.py`)
edges           share of the told edges that lie within a pixel of one of the sample's (recall), and
                the reverse (precision), as their harmonic mean
low_resolution  PSNR in dB of the samples' own small pictures against the told ones
depth           PSNR in dB, at an eighth of the size, of the samples against the images whose depth
                was told
nll             nats a token of the image itself, told its own condition and another's
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from readers import Classifier, Segmenter
from torch import Tensor

from smalti.conditions import Setup
from smalti.conditions.low_resolution import enlarged, shrunk
from smalti.conditions.opening import open_conditions
from smalti.content import IGNORED, EdgesContent
from smalti.content_images import content_images
from smalti.data.dataset import ImageDataset
from smalti.data.loader import stack
from smalti.data.readers import EdgeReader
from smalti.data.sources import open_source
from smalti.data.split import OwnNames, Split, split_held_out
from smalti.metrics.nll import nats_per_token
from smalti.metrics.reconstruction import HIGHEST_PSNR_DB
from smalti.ranges import to_pil
from smalti.runs.config import PriorRunConfig
from smalti.runs.stored import read_run_config
from smalti.runs.training_images import rule_of_run
from smalti.sampling.canvas import Canvas
from smalti.sampling.choice import seeded_choice
from smalti.sampling.filters import SamplingConfig
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.sheet import contact_sheet
from smalti.sampling.sliding_window import sample_canvas
from smalti.types import Batch

COLUMNS = 16
"""Most images that the picture shows."""
WHOLE_PX = 352
"""Side of the training images of the segmenter, where the run keeps the size of its images."""

Reading = Callable[[Tensor, Batch], float]
"""How well images (B, 3, H, W) fit the conditions of a batch."""


def images_of(run: Path, data: str, pipeline: Pipeline, size: int | None = None) -> Split:
    """Training and held-out images of a run's own data set; of another one all are held out.

    Args:
        run: of a prior.
        data: as `--data`.
        pipeline: of the run.
        size: side of the crops in pixels, in place of the run's.
    """
    config = PriorRunConfig.model_validate(read_run_config(run))
    told = open_conditions(config.condition, run, pipeline.tokenizer)
    image = config.image if size is None else config.image.model_copy(update={"size": size})
    setup = Setup(
        height_px=image.height_px,
        width_px=image.width_px,
        cell_px=pipeline.tokenizer.downsampling_factor,
        low_resolution_factor=config.low_resolution_factor,
    )
    source = open_source(data, told.need_classes)
    dataset = ImageDataset([source], image, config.seed, paired=told.pairs(setup))
    if data not in config.data:
        return Split(dataset, dataset, OwnNames(1))
    split = split_held_out(dataset, config.held_out, rule_of_run(run))
    return Split(split.train, split.evaluated, split.rule)


def read(dataset: ImageDataset, count: int) -> Batch:
    """Random crops of images from all over a data set: neighbours may be frames of one film."""
    return stack([dataset.sample(index, 0) for index in spread(len(dataset), count)])


def spread(length: int, count: int) -> list[int]:
    """`count` numbers below `length`, evenly spaced, or all of them."""
    count = min(count, length)
    return [number * length // count for number in range(count)]


def shifted(batch: Batch) -> Batch:
    """The images and conditions of a batch, each in the place of one half the batch away."""
    half = len(batch.keys) // 2
    labels = None if batch.labels is None else batch.labels.roll(half)
    conditions = {kind: value.roll(half, 0) for kind, value in batch.conditions.items()}
    return Batch(batch.keys, batch.images.roll(half, 0), labels, conditions)


def draw(
    pipeline: Pipeline, told: dict[str, Tensor], sampling: SamplingConfig, seed: int
) -> Tensor:
    """Images (B, 3, H, W) drawn from codes of conditions."""
    count, config = len(next(iter(told.values()))), pipeline.config
    cells = config.grid_height * config.grid_width
    images = []
    for rows in torch.arange(count).split(50):
        codes = torch.zeros(len(rows), config.grid_height, config.grid_width, dtype=torch.int64)
        canvas = Canvas.unknown(codes)
        choose = seeded_choice(seed, rows.tolist(), cells, pipeline.device)
        part = {kind: value[rows] for kind, value in told.items()}
        sample_canvas(
            pipeline.prior, pipeline.config, pipeline.conditioning, part, canvas, sampling, choose
        )
        images.append(pipeline.decode(canvas.codes))
    return torch.cat(images)


@torch.no_grad()
def nll(pipeline: Pipeline, codes: Tensor, told: dict[str, Tensor]) -> float:
    """Mean nats a token of codes (B, h, w) under conditions."""
    sequence = pipeline.layout.join(
        pipeline.conditioning.tokens(told), pipeline.ordering.to_tokens(codes)
    )
    logits = pipeline.layout.image_logits(pipeline.prior.logits(sequence.tokens))
    return float(nats_per_token(logits, sequence.targets).mean())


def edge_overlap(images: Tensor, told: Batch) -> float:
    """F1 of the edges of images and told ones (B, 1, H, W), a pixel apart at most."""
    reader = EdgeReader(EdgesContent())
    found = torch.stack([reader.to_image(to_pil(image)) for image in images]) > 0
    wanted = told.conditions["edges"] > 0

    def near(edges: Tensor) -> Tensor:
        return F.max_pool2d(edges.float(), 3, stride=1, padding=1) > 0

    recall = (wanted & near(found)).sum() / wanted.sum()
    precision = (found & near(wanted)).sum() / found.sum().clamp(min=1)
    return float(2 * recall * precision / (recall + precision))


def decibels(images: Tensor, wanted: Tensor) -> float:
    """PSNR in dB of all images (B, 3, H, W) in [-1, 1] together, up to that of rounding."""
    error = float((images - wanted).square().mean())
    return HIGHEST_PSNR_DB if error == 0 else min(10 * math.log10(4 / error), HIGHEST_PSNR_DB)


def shrunk_psnr(images: Tensor, told: Batch) -> float:
    """PSNR in dB, at an eighth of the size, of images (B, 3, H, W) and those of a batch."""
    return decibels(F.avg_pool2d(images, 8), F.avg_pool2d(told.images, 8))


def small_picture_psnr(factor: int) -> Reading:
    """PSNR in dB of the small pictures of images (B, 3, H, W) and those that were told."""

    def compare(images: Tensor, told: Batch) -> float:
        small = (enlarged(shrunk(to_pil(image), factor), factor) for image in images)
        return decibels(torch.stack([*small]), told.conditions["low_resolution"])

    return compare


def label_agreement(train: ImageDataset) -> Reading:
    """A segmenter that learned from training images of the whole height."""
    real = read(train, len(train))
    labels = real.conditions["segmentation"]
    segmenter = Segmenter(int(labels[labels != IGNORED].max()) + 1)
    segmenter.learn(real.images, labels, crop=96, steps=600)
    return lambda images, told: segmenter.agreement(images, told.conditions["segmentation"])


def class_accuracy(train: ImageDataset) -> Reading:
    """A classifier that learned from all training images."""
    real = read(train, len(train))
    assert real.labels is not None
    classifier = Classifier(int(real.labels.max()) + 1)
    classifier.learn(real.images, real.labels)

    def accuracy(images: Tensor, told: Batch) -> float:
        assert told.labels is not None
        return classifier.accuracy(images, told.labels)

    return accuracy


def readings(run: Path, pipeline: Pipeline) -> dict[str, Reading]:
    """How each condition of a run is read back from its samples."""
    config = PriorRunConfig.model_validate(read_run_config(run))
    own_data = config.data[0]
    found: dict[str, Reading] = {}
    for kind in pipeline.conditioning.kinds:
        if kind == "segmentation":
            resized = config.image.resize_px
            side = resized if isinstance(resized, int) else WHOLE_PX
            found[kind] = label_agreement(images_of(run, own_data, pipeline, side).train)
        if kind == "class":
            found[kind] = class_accuracy(images_of(run, own_data, pipeline).train)
        if kind == "edges":
            found[kind] = edge_overlap
        if kind == "depth":
            found[kind] = shrunk_psnr
        if kind == "low_resolution":
            found[kind] = small_picture_psnr(config.low_resolution_factor)
    return found


def encoded(pipeline: Pipeline, batch: Batch) -> dict[str, Tensor]:
    """Codes of a batch's conditions, by kind."""
    return pipeline.encode_conditions(pipeline.conditioning.batch_values(batch))


def main() -> None:
    """Draw, compare and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("-n", type=int, default=16)
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--top-k", type=int, default=0)
    parser.add_argument("--top-p", type=float, default=1.0)
    options = parser.parse_args()

    sampling = SamplingConfig(
        guidance=(options.guidance,), top_k=options.top_k, top_p=options.top_p
    )
    torch.manual_seed(0)  # of the heads in `readers`
    pipeline = Pipeline.from_pretrained(options.run)
    own = read(images_of(options.run, options.data, pipeline).held_out, options.n)
    other = shifted(own)
    told = encoded(pipeline, own)
    codes = pipeline.tokenizer.encode(own.images)
    reconstructions = pipeline.decode(codes)
    samples = [draw(pipeline, told, sampling, seed) for seed in (0, 1)]
    figures: dict[str, object] = {
        "images": len(own.keys),
        "guidance, top-k, top-p": [options.guidance, options.top_k, options.top_p],
        "nll": {
            "own": nll(pipeline, codes, told),
            "other": nll(
                pipeline,
                codes,
                pipeline.encode_conditions(pipeline.conditioning.batch_values(other)),
            ),
        },
    }
    for kind, reading in readings(options.run, pipeline).items():
        figures[kind] = {
            "samples, own": sum(reading(images, own) for images in samples) / len(samples),
            "samples, other": sum(reading(images, other) for images in samples) / len(samples),
            "reconstructions": reading(reconstructions, own),
            "images": reading(own.images, own),
        }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "figures.json").write_text(json.dumps(figures, indent=2, allow_nan=False) + "\n")
    content = content_images(pipeline.tokenizer.content)
    shown = [
        [content_images(tokenizer.content).draw(one) for one in own.conditions[kind]]
        for kind, tokenizer in pipeline.condition_tokenizers.items()
    ]
    for images in (own.images, reconstructions, *samples):
        shown.append([content.draw(image) for image in images])
    columns = min(len(own.keys), COLUMNS)
    sheet = [picture for row in shown for picture in row[:columns]]
    contact_sheet(sheet, columns).save(options.out / "grid.jpg", quality=90)
    print(json.dumps(figures, indent=2, allow_nan=False))


if __name__ == "__main__":
    main()

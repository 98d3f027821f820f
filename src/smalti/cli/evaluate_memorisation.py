"""`smalti evaluate PRIOR --memorisation`: samples beside their nearest training images."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from smalti.config import InputError
from smalti.content_images import content_images
from smalti.data.dataset import ImageDataset
from smalti.distributed import from_first
from smalti.evaluation.memorisation import memorisation
from smalti.metrics.neighbours import Neighbours
from smalti.report.pairs import Pair, PairRow, write_pairs
from smalti.runs.described import describe, good_rows, load_center, open_photographs
from smalti.runs.encoded_images import EncodedImages, find_encoded_images
from smalti.runs.prior_evaluation import PriorEvaluation
from smalti.runs.state import read_run
from smalti.runs.training_images import TrainingImages, find_training_images

PAIRS = 24
"""Pairs of each kind on the page, the nearest ones."""


@dataclass(frozen=True, slots=True)
class KnownAndUnseen:
    """Images that a prior was trained on, and others."""

    training: ImageDataset
    unseen: ImageDataset


def find_images(options: argparse.Namespace, evaluation: PriorEvaluation) -> KnownAndUnseen:
    """The training images of a prior, and images that it was not trained on.

    Raises:
        InputError: it is not known which they are, or there are none of one kind.
    """
    run = read_run(Path(options.model))
    specs = options.training_data or (run and run.config.data)
    known: TrainingImages | EncodedImages | None = find_training_images(options.model)
    if not specs:
        raise InputError(
            f"{options.model} does not say where its training images are; name them, "
            "--training-data"
        )
    measured = evaluation.images.dataset
    everything = open_photographs(specs, measured.transform)
    if known is None and set(specs) & set(options.data):
        known = find_encoded_images(options.model)
        if known is None:
            raise InputError(
                f"{options.model} has no list of its training images, so --data and "
                "--training-data must be different data sets"
            )
    if known is None:
        return KnownAndUnseen(everything, measured)
    seen, is_training = known.among(measured), known.among(everything)
    if not is_training.any():
        raise InputError(f"none of {', '.join(specs)} is a training image of {options.model}")
    training = everything.subset(is_training.nonzero()[0].tolist())
    for dataset, mask in ((measured, seen), (everything, is_training)):
        if not mask.all():
            return KnownAndUnseen(training, dataset.subset((~mask).nonzero()[0].tolist()))
    raise InputError(
        "--memorisation compares with images that the prior was not trained on, and there are "
        "none: give some with --data, or train with --held-out"
    )


def judge_memorisation(
    images: KnownAndUnseen,
    evaluation: PriorEvaluation,
    samples: dict[str, Tensor],
    page: Path,
    folder: Path,
) -> tuple[dict[str, Any], list[str]]:
    """Write the page of pairs; what was found, as plain data, and a warning if there is cause.

    Args:
        images: to compare with.
        evaluation: of the prior.
        samples: their codes (n, h * w) and features (n, C).
        page: folder of the page.
        folder: where features are kept meanwhile.

    Raises:
        InputError: all images of one kind are broken, or the page cannot be written.
    """
    assert evaluation.extractor is not None
    features = [
        describe(dataset, evaluation.extractor, evaluation.batch_size, name, folder)
        for name, dataset in (("training", images.training), ("unseen", images.unseen))
    ]
    return from_first(lambda: _judge(images, evaluation, samples, features, page))


def _judge(
    images: KnownAndUnseen,
    evaluation: PriorEvaluation,
    samples: dict[str, Tensor],
    described: Sequence[Tensor],
    page: Path,
) -> tuple[dict[str, Any], list[str]]:
    """As `judge_memorisation`, of features (N, C) of the training images and of the unseen ones."""
    numbers = [good_rows(one) for one in described]
    features = [one[good] for one, good in zip(described, numbers, strict=True)]
    judged = memorisation(samples["features"], *features)
    medians = [float(one.distances.median()) for one in (judged.samples, judged.unseen)]
    report = {
        "training_images": len(features[0]),
        "unseen_images": len(features[1]),
        "copies": judged.copies,
        "share_nearer": judged.share_nearer,
        "p_value": judged.p_value,
        "median_distance_of_samples": medians[0],
        "median_distance_of_unseen": medians[1],
    }
    sample = partial(_draw_sample, evaluation, samples["codes"])
    training = partial(_draw_image, images.training, numbers[0])
    unseen = partial(_draw_image, images.unseen, numbers[1])
    rows = [
        _row("sample", "Samples", judged.samples, sample, training),
        _row("unseen", "Unseen images", judged.unseen, unseen, training),
    ]
    facts = {name.replace("_", " "): f"{value:.4g}" for name, value in report.items()}
    title = "Nearest training images"
    print(f"done: {write_pairs(page, title, judged.warning, facts, rows)}")
    return report, [] if judged.warning is None else [judged.warning]


def _draw_sample(evaluation: PriorEvaluation, codes: Tensor, number: int) -> Image.Image:
    """The picture of one of the samples, which have codes (n, h * w)."""
    pipeline = evaluation.pipeline
    of_sample = codes[number].long().view(1, *evaluation.cells)
    return pipeline.pictures(of_sample.to(pipeline.device))[0]


def _draw_image(dataset: ImageDataset, numbers: Tensor, row: int) -> Image.Image:
    """The picture of a row of features, which is the image of one of the numbers."""
    sample = load_center(dataset, int(numbers[row]))
    assert sample is not None, "its features are known"
    return content_images(dataset.content).draw(sample.image)


def _row(
    name: str,
    heading: str,
    neighbours: Neighbours,
    picture: Callable[[int], Image.Image],
    training: Callable[[int], Image.Image],
) -> PairRow:
    """The nearest pairs of one kind, the nearest first."""
    distances = neighbours.distances[:, 0]
    pairs = []
    for number in distances.argsort(stable=True)[:PAIRS].tolist():
        caption = f"{name} {number}, distance {float(distances[number]):.4g}"
        nearest = training(int(neighbours.numbers[number, 0]))
        pairs.append(Pair(picture(number), nearest, caption))
    return PairRow(name, f"{heading} (left) and their nearest training images (right)", pairs)

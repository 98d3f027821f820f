"""Samples of trained priors: sheets of them, and their distance from photographs.

Axes: N images, C features of an image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from smalti.compute import choose_compute
from smalti.data.config import TransformConfig
from smalti.data.loader import BatchLoader
from smalti.evaluation.comparison import compare
from smalti.evaluation.extractors import Extractor
from smalti.evaluation.extractors.efficientnet import EfficientNetExtractor
from smalti.evaluation.protocol import ImageRecord
from smalti.evaluation.reference import Reference, reference_of
from smalti.files import atomic_file
from smalti.ranges import from_uint8, to_uint8
from smalti.reproduce.experiment import Experiment, PlannedRun
from smalti.runs.described import find_reference, open_photographs
from smalti.runs.prior_images import PriorImages
from smalti.sampling.config import SamplingConfig
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.request import Request
from smalti.sampling.sheet import contact_sheet

BATCH = 32
"""Images that are described or decoded at a time."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How many samples are drawn, and how."""

    count: int
    size_px: int | tuple[int, int] | None = None
    """Height and width in pixels, or one number for both; None is the size of the training."""
    stride: int = 1
    batch_size: int = 32


def open_pipeline(experiment: Experiment, run: PlannedRun) -> Pipeline:
    """Open the best model of a prior's run, on the device of the experiment."""
    device = choose_compute(experiment.device, "float32").device
    return Pipeline.from_pretrained(experiment.path(run)).to(device)


def open_extractor(experiment: Experiment) -> Extractor:
    """Open the network that describes images, whose weights come with the package."""
    device = choose_compute(experiment.device, "float32").device
    return EfficientNetExtractor.load(None).to(device)


def draw_codes(
    pipeline: Pipeline, sampling: Sampling, seed: int, keep: Path | None = None
) -> Tensor:
    """Draw codes (N, h, w) int64 of new images, with the defaults of the paper: t = 1, top-k 100.

    Args:
        pipeline: of a prior without conditions that a user must give.
        sampling: how many, and how.
        seed: image i is a function of (seed, i).
        keep: file from which the work goes on where it was stopped.
    """
    request = pipeline.request(sampling.count, size=sampling.size_px)
    return draw_request(pipeline, request, sampling, seed, keep)


def draw_request(
    pipeline: Pipeline, request: Request, sampling: Sampling, seed: int, keep: Path | None = None
) -> Tensor:
    """Draw the codes (N, h, w) int64 of a request; its number and size count, not the sampling's.

    The other arguments are those of `draw_codes`.
    """
    return pipeline.sample_codes(
        request,
        seed,
        config=SamplingConfig(stride=sampling.stride),
        batch_size=sampling.batch_size,
        progress=False,
        keep=keep,
    )


def conditional_request(
    pipeline: Pipeline, data: str, image: TransformConfig, sampling: Sampling
) -> Request:
    """Make a request for images with the conditions of the first images of a data set.

    Args:
        pipeline: of a prior.
        data: the data set, which has all conditions of the prior.
        image: how its pictures become conditions of the size of the sampling.
        sampling: how many; where the data set has fewer, these.

    Raises:
        InputError: the data set lacks a condition.
    """
    size = sampling.size_px
    assert isinstance(size, tuple)
    images = PriorImages(pipeline, [data], image.model_copy(update={"size": size}), size)
    known = next(images.batches(sampling.count))
    return Request(len(known.images), known.values, *pipeline.cells_of(*size))


@torch.no_grad()
def decoded(pipeline: Pipeline, codes: Tensor) -> Tensor:
    """Images (N, 3, H, W) float32 in [-1, 1] of codes (N, h, w), with 8 bits as in a file."""
    chunks = [pipeline.decode(chunk) for chunk in torch.split(codes, BATCH)]
    return from_uint8(to_uint8(torch.cat(chunks)))


def features_of(images: Tensor, extractor: Extractor) -> Tensor:
    """Features (N, C) float32, on the CPU, of images (N, 3, H, W) float32 in [-1, 1]."""
    return torch.cat(list(extractor.of_batches(torch.split(images, BATCH))))


def reference_images(data: str, image: TransformConfig, extractor: Extractor) -> Reference:
    """Describe the center crops of a data set.

    Raises:
        InputError: it has no good images.
    """
    return find_reference(data, image, extractor, BATCH)


def photographs(data: str, image: TransformConfig, count: int) -> Tensor:
    """The first center crops (N, 3, H, W) float32 in [-1, 1] of a data set, N at most `count`.

    Raises:
        InputError: it has no good images.
    """
    dataset = open_photographs([data], image)
    chosen = dataset.subset(range(min(count, len(dataset))))
    batches = BatchLoader(chosen, BATCH, seed=0, workers=0).evaluation_batches()
    return torch.cat([batch.images for batch in batches])


def reference_of_images(images: Tensor, extractor: Extractor, source: str) -> Reference:
    """Describe images (N, 3, H, W) float32 in [-1, 1], of a source in words, as a reference."""
    height, width = images.shape[-2:]
    record = ImageRecord(
        source=source,
        count=len(images),
        height_px=height,
        width_px=width,
        crop="none",
        kernel="none",
        antialias=False,
    )
    return reference_of(features_of(images, extractor), record)


def distances(
    features: Tensor, reference: Reference, extractor: Extractor, seed: int
) -> dict[str, float]:
    """Frechet distance and kernel distance (fd, kd), precision and recall of samples.

    The network is not Inception, so the distances are no FID and KID. The kernel distance has no
    bias by the number of images.

    Args:
        features: (N, C) of the samples.
        reference: the photographs.
        extractor: of both.
        seed: of the subsets of the kernel distance.
    """
    found = {figure.name: figure.value for figure in compare(features, reference, extractor, seed)}
    names: Mapping[str, str] = {
        "fd": _key(extractor.frechet_name),
        "kd": _key(extractor.kernel_name),
        "precision": "precision",
        "recall": "recall",
    }
    return {short: found[name] for short, name in names.items()}


def sampled_distances(
    experiment: Experiment,
    name: str,
    pipeline: Pipeline,
    sampling: Sampling,
    seed: int,
    extractor: Extractor,
    reference: Reference,
) -> dict[str, float]:
    """The distances of samples that are drawn for it.

    Args:
        experiment: in whose folder the codes are kept while they are drawn.
        name: the name of these samples in that folder.
        pipeline: of a prior without conditions that a user must give.
        sampling: how many samples, and how.
        seed: of the samples and of the subsets of the kernel distance.
        extractor: describes samples and photographs.
        reference: the photographs.
    """
    codes = draw_codes(pipeline, sampling, seed, experiment.unfinished(name, seed))
    return distances(features_of(decoded(pipeline, codes), extractor), reference, extractor, seed)


def _key(name: str) -> str:
    return name.lower().replace("-", "_")


def write_sheet(path: Path, pictures: Sequence[Image.Image], columns: int | None = None) -> None:
    """Write a sheet of pictures as PNG."""
    with atomic_file(path) as temporary:
        contact_sheet(pictures, columns).save(temporary)

"""Functions that the stages share: data, batches, first weights and announcements."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from smalti.compute import Compute
from smalti.config import InputError
from smalti.content import ContentConfig
from smalti.data.dataset import ImageDataset
from smalti.data.loader import BatchLoader, check_shares
from smalti.data.maps import check_maps, check_sizes_beside
from smalti.data.pairing.base import Paired
from smalti.data.sources import open_source
from smalti.data.sources.part_names import IMAGES
from smalti.data.split import Split, split_held_out
from smalti.data.summary import check_sizes
from smalti.data.values import values_of, warning_of
from smalti.distributed import from_first, rank, world_size
from smalti.health.run_images import RunImages
from smalti.runs.config import BaseRunConfig, RunConfig
from smalti.runs.origin import check_same_data
from smalti.runs.training_images import rule_of_run
from smalti.training.curves import draw_curves
from smalti.training.log import say
from smalti.types import Batch
from smalti.weights import count_parameters


def open_data(
    config: BaseRunConfig, classes: bool, content: ContentConfig, paired: Sequence[Paired] = ()
) -> Split:
    """Open the images of a run, split into training and held-out images as when it began.

    Raises:
        InputError: as `open_dataset`, or the run's file about its images is damaged, or the run has
            begun with other images.
    """
    dataset = open_dataset(config, classes, content, paired)
    split = split_held_out(dataset, config.held_out, rule_of_run(Path(config.out)))
    check_same_data(config, split)
    return split


def open_dataset(
    config: BaseRunConfig, classes: bool, content: ContentConfig, paired: Sequence[Paired] = ()
) -> ImageDataset:
    """Open all images that a config names.

    Raises:
        InputError: a source does not exist, is empty, or lacks classes or maps that are needed; or
            a map has another size than the image beside it.
    """
    sources = [open_source(spec, classes, content.part) for spec in config.data]
    for spec, source in zip(config.data, sources, strict=True):
        if content.part != IMAGES and IMAGES in source.parts:
            check_sizes_beside(source, open_source(spec, classes=False))
    return ImageDataset(sources, config.image, config.seed, config.data_weights, content, paired)


def training_loader(config: RunConfig, split: Split, compute: Compute) -> BatchLoader:
    """Make the loader after looking for bad images, which must be found before anything is written.

    Raises:
        InputError: the batch does not divide among the processes, or workers have too little shared
            memory; in process 0, an image is smaller than the crop, a map does not fit, or all
            images are broken.
    """
    training = config.training
    loader = BatchLoader(
        split.train,
        training.batch_size,
        config.seed,
        training.workers,
        training.accumulation_steps,
        pin_memory=compute.device.type == "cuda",
    )
    check_shares(training.batch_size, training.accumulation_steps)
    loader.check_workers()
    if rank() == 0:
        _look_for_bad_images(config, split)
    return loader


def _look_for_bad_images(config: RunConfig, split: Split) -> None:
    for images in (split.train, split.held_out):
        if images is not None:
            check_sizes(images)
            check_maps(images)
    trial = BatchLoader(split.train, config.training.batch_size, config.seed, workers=0)
    next(trial.batches(0))
    if next(_evaluation_loader(config, split).evaluation_batches(), None) is None:
        scored = RunImages.of(split).scored
        raise InputError(f"all {scored} are broken or too small; change --held-out")


def _evaluation_loader(config: RunConfig, split: Split) -> BatchLoader:
    """Make the loader of the images to evaluate: held-out images, else training images."""
    # As many as a process trains on in a step: without a graph they fit.
    batch_size = config.training.batch_size // world_size()
    return BatchLoader(split.evaluated, batch_size, config.seed, workers=0)


def evaluated_batches(config: RunConfig, split: Split) -> Iterator[Batch]:
    """Read this process's share of the images to evaluate, at most `eval_images` in all.

    The processes take the batches in turn; process 0 has the first.

    Raises:
        InputError: an image is smaller than the crop, and `small` is error.
    """
    left = config.training.eval_images
    for number, batch in enumerate(_evaluation_loader(config, split).evaluation_batches()):
        if number % world_size() == rank():
            yield _first(batch, left)
        left -= len(batch.keys)
        if left <= 0:
            return


def _first(batch: Batch, count: int) -> Batch:
    """The first images of a batch."""
    return Batch(
        batch.keys[:count],
        batch.images[:count],
        None if batch.labels is None else batch.labels[:count],
        {kind: values[:count] for kind, values in batch.conditions.items()},
    )


def check_divides(config: RunConfig, factor: int) -> None:
    """Refuse an image size that does not divide into codes.

    Raises:
        InputError: a side is no multiple of the factor.
    """
    height, width = config.image.height_px, config.image.width_px
    if height % factor or width % factor:
        raise InputError(
            f"image.size {height}x{width} does not divide into codes: both sides must be multiples "
            f"of {factor}"
        )


@contextlib.contextmanager
def weights_from(seed: int) -> Iterator[None]:
    """Context in which new weights follow from the seed; other random numbers do not change."""
    # They are drawn on the CPU: no graphics card is touched, and all devices start alike.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def finish(folder: Path, split: Split) -> None:
    """Draw the curves of a finished run, and print how many images it skipped."""
    from_first(lambda: draw_curves(folder))
    say_skipped(split.train)


def say_skipped(dataset: ImageDataset) -> None:
    """Print how many images were skipped, if any, over both sides of a split."""
    if dataset.broken:
        say(f"skipped images (broken, or smaller than the crop): {len(dataset.broken)}")


def announce_run(config: RunConfig, compute: Compute) -> None:
    """Print the folder and the device of a run."""
    several = f"   processes: {world_size()}" if world_size() > 1 else ""
    say(f"run: {config.out}   device: {compute}{several}")


def announce(config: RunConfig, compute: Compute, split: Split) -> None:
    """Print the device, the data and the folders of a run."""
    announce_run(config, compute)
    say(f"data: {RunImages.of(split)}; crops of {config.image.height_px}x{config.image.width_px}")
    for line in split.train.folders:
        say(f"folders: {line}")
    if rank() == 0:
        _say_values(split.train)


def _say_values(dataset: ImageDataset) -> None:
    """Print which stored values the files use, and warn if most of their range is unused."""
    for values in values_of(dataset.raw, len(dataset), dataset.content.part):
        say(f"values: {values}")
        warning = warning_of(values, dataset.content)
        if warning:
            say(f"warning: {warning}")


def millions(module: torch.nn.Module) -> str:
    """Number of parameters, for people."""
    return f"{count_parameters(module) / 1e6:.2f}"

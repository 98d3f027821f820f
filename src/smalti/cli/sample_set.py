"""`smalti sample PRIOR -n 50000 --shard-images 1000`: draws large sets of images in shards."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from smalti.cli.shards import check_hashes, is_divided, make_shards, say_how_to_join
from smalti.compute import choose_compute
from smalti.conditions.asked import Asked
from smalti.distributed import from_first
from smalti.sampling.config import SamplingConfig
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.sample_set import (
    SAMPLES,
    SHARD_IMAGES,
    SampleJob,
    join_samples,
    sample_set,
    sample_shard,
)
from smalti.words import counted


def draw_set(
    options: argparse.Namespace, asked: Asked, config: SamplingConfig, folder: Path
) -> None:
    """Draw this process's share of the shards, and write the manifest if none is missing.

    Args:
        options: options of the command.
        asked: the conditions.
        config: temperature and the like.
        folder: folder of the shards.

    Raises:
        InputError: an option, the prior or the folder do not allow it; finished shards are kept.
    """
    make_shards(partial(open_samples, options, asked, config, folder), options, "drawn")
    from_first(partial(_finish, options, folder))


class SampleWork:
    """A set of samples that is drawn into shards."""

    def __init__(self, job: SampleJob) -> None:
        self.job, self.folder = job, job.folder

    @property
    def sizes(self) -> Sequence[int]:
        """Number of images of each shard."""
        samples = self.job.samples
        return [len(samples.images_of(number)) for number in range(len(samples.names))]

    def begin(self) -> None:
        """Note in the folder what is drawn, or check that the same is."""
        SAMPLES.begin(self.folder, self.job.samples)

    def is_finished(self, number: int) -> bool:
        """Whether a shard was drawn before."""
        return SAMPLES.read_record(self.folder, number) is not None

    def use(self, device: str) -> None:
        """Move the pipeline to the device of `--device`, and print which it is."""
        compute = choose_compute(device, self.job.samples.precision)
        self.job.pipeline.to(compute.device)
        print(f"device: {compute}")

    def announce(self) -> None:
        """Print what is drawn."""
        samples = self.job.samples
        height, width = samples.size
        print(
            f"set: {counted(samples.images, 'image')} of {height}x{width} pixels in "
            f"{counted(len(samples.names), 'shard')}"
        )

    def make(self, number: int, on_images: Callable[[int], object]) -> int:
        """Draw a shard, and return the number of its images."""
        return sample_shard(self.job, number, on_images).images


def open_samples(
    options: argparse.Namespace, asked: Asked, config: SamplingConfig, folder: Path
) -> SampleWork:
    """Load the prior, and plan the shards."""
    pipeline = Pipeline.from_pretrained(options.model)
    samples = sample_set(
        pipeline,
        options.n,
        options.seed,
        asked,
        size=options.size,
        config=config,
        shard_images=options.shard_images or SHARD_IMAGES,
    )
    return SampleWork(SampleJob(folder, samples, pipeline, asked, options.batch_size))


def _finish(options: argparse.Namespace, folder: Path) -> None:
    """Write the manifest, or say what to run when other workers are done."""
    samples = SAMPLES.read_description(folder)
    missing = len(SAMPLES.missing(folder, samples, samples.names))
    if missing and is_divided(options):
        say_how_to_join(options, "smalti sample", folder, missing)
        return
    join_folder(folder)


def check_and_join(folder: Path) -> None:
    """Compare all shards with their records, and write the manifest: what `--join` does.

    Raises:
        InputError: as `join_folder`, or a shard is not the one that was written.
    """
    check_hashes(SAMPLES, folder)
    join_folder(folder)


def join_folder(folder: Path) -> None:
    """Write the manifest of a set of samples, and print what is in it.

    Raises:
        InputError: a shard is missing, or the folder holds no samples.
    """
    manifest = join_samples(folder)
    height, width = manifest.samples.size
    print(
        f"done: {counted(manifest.samples.images, 'image')} of {height}x{width} pixels in "
        f"{counted(len(manifest.shards), 'shard')}, in {folder}"
    )

"""Large sets of samples in shards: `sample_shard`, the unit of work of every engine.

    FOLDER/samples.json     what decides the samples; written before the first shard
    FOLDER/shard-00000.tar  a WebDataset with some of the samples, in order
    FOLDER/shard-00000.json that it is complete: counts, size and hash of the file
    FOLDER/manifest.json    both together for the whole set, once no shard is missing

Axes: B batch, h/w grid of codes, K codebook size.
"""

import io
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image
from pydantic import Field

from smalti.codes.shard_files import add_member
from smalti.conditions.asked import Asked, items_of
from smalti.config import Config
from smalti.files import atomic_file, json_text, sha256
from smalti.sampling.config import SamplingConfig
from smalti.sampling.numbered import sample_numbered
from smalti.sampling.pipeline import Pipeline
from smalti.shard_folder import MANIFEST_FILE, FolderKind, write_config, write_record
from smalti.weights import tensors_hash, weights_hash

SHARD_IMAGES = 1000
"""Number of images in a shard by default."""
CLASS = "class"
"""Kind of condition that a shard keeps beside each image."""


class SampleSet(SamplingConfig):
    """Everything that decides a set of samples and how it is divided into shards."""

    prior: str
    """Hash of the weights of the prior and its tokenizers."""
    seed: int
    """Image i is a function of (seed, i) and its condition."""
    size: tuple[int, int]
    """Height and width in pixels."""
    conditions: str
    """Hash of the conditions, which the images take in turn."""
    classes: tuple[str, ...] | None
    """Name of each class by its number, or null if the prior knows no classes."""
    images: int
    """Number of images."""
    shard_images: int
    """Number of images in each shard but the last."""

    @property
    def names(self) -> list[str]:
        """Names of the files of all shards, by their numbers."""
        shards = -(-self.images // self.shard_images)
        return [f"shard-{number:05d}.tar" for number in range(shards)]

    def images_of(self, number: int) -> range:
        """The numbers of the images of a shard."""
        start = number * self.shard_images
        return range(start, min(start + self.shard_images, self.images))


class SampleRecord(Config):
    """What is known of a finished shard."""

    file: str
    images: int
    bytes: int
    sha256: str
    prior: str
    """Hash of the weights that drew the samples."""


class SampleManifest(Config):
    """A finished set of samples."""

    format: Literal["smalti-samples"] = "smalti-samples"
    version: Literal[1] = 1
    samples: SampleSet
    shards: tuple[SampleRecord, ...] = Field(min_length=1)


SAMPLES = FolderKind(
    format="smalti-samples",
    version=1,
    content="samples",
    command="smalti sample",
    description_file="samples.json",
    description=SampleSet,
    record=SampleRecord,
    model="prior",
    long_fields=("conditions", "classes"),
)
"""Folders of samples in shards."""


@dataclass(frozen=True, slots=True)
class SampleJob:
    """A set of samples that is drawn into a folder."""

    folder: Path
    """Folder of the shards; `SAMPLES.begin` has made it."""
    samples: SampleSet
    pipeline: Pipeline
    asked: Asked
    """The conditions, which the images take in turn."""
    batch_size: int
    """Images that are drawn together."""


def sample_set(
    pipeline: Pipeline,
    n: int,
    seed: int = 0,
    condition: Asked = None,
    *,
    size: int | tuple[int, int] | None = None,
    config: SamplingConfig | None = None,
    shard_images: int = SHARD_IMAGES,
) -> SampleSet:
    """Describe a set of n samples; the other arguments are those of `Pipeline.sample`.

    Raises:
        InputError: the prior cannot draw such samples, or a condition is missing or cannot be read.
    """
    given = condition.values() if isinstance(condition, Mapping) else [condition]
    items = max((len(items_of(one)) for one in given), default=0)
    request = pipeline.request(min(n, max(items, 1)), condition, size)  # each item once
    config = config or SamplingConfig()
    pipeline.check_sampling(config, (request.height, request.width))
    factor = pipeline.tokenizer.downsampling_factor
    classes = [
        one.config.class_names for one in pipeline.conditioning.conditions if one.kind == CLASS
    ]
    return SampleSet.model_validate(
        config.model_dump()
        | {
            "prior": models_hash(pipeline),
            "seed": seed,
            "size": (request.height * factor, request.width * factor),
            "conditions": tensors_hash(request.values),
            "classes": classes[0] if classes else None,
            "images": n,
            "shard_images": shard_images,
        }
    )


def models_hash(pipeline: Pipeline) -> str:
    """Hash of the weights of a prior and its tokenizers."""
    tokenizers = (pipeline.tokenizer, *pipeline.condition_tokenizers.values())
    hashes = [weights_hash(tokenizer) for tokenizer in tokenizers]
    return tensors_hash(pipeline.prior.state_dict(), json_text(hashes))


def sample_shard(
    job: SampleJob,
    number: int,
    on_images: Callable[[int], object] = lambda _images: None,
) -> SampleRecord:
    """Draw the images of one shard and write it, whole or not at all; or find it finished.

    Image i is a function of the seed, i and its condition, and its batch holds the same images
    whichever worker draws it. So the shard has the same bytes, whatever the number of workers, as
    long as batch size, threads and kind of device are the same; others may round differently.

    Args:
        job: what is drawn, by which prior, into which folder.
        number: number of the shard, from 0.
        on_images: called with the number of images in each batch that was drawn.

    Returns:
        The record, also in the folder as `shard-NUMBER.json`.

    Raises:
        InputError: the disk is full, or a condition cannot be read.
    """
    found = SAMPLES.read_record(job.folder, number)
    if found is not None:
        return found
    images = job.samples.images_of(number)
    path = job.folder / job.samples.names[number]
    with atomic_file(path) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
            for batch in _draw(job, images):
                for one in batch:
                    one.add_to(tar)
                on_images(len(batch))
        size, digest = temporary.stat().st_size, sha256(temporary)
    record = SampleRecord(
        file=path.name, images=len(images), bytes=size, sha256=digest, prior=job.samples.prior
    )
    write_record(job.folder, number, record)
    return record


@dataclass(frozen=True, slots=True)
class _Sample:
    number: int
    picture: Image.Image
    label: int | None
    """Number of its class."""

    def add_to(self, tar: tarfile.TarFile) -> None:
        """Add the picture as a PNG, and its class."""
        content = io.BytesIO()
        self.picture.save(content, "PNG")
        add_member(tar, f"{self.number:09d}.png", content.getvalue())
        if self.label is not None:
            add_member(tar, f"{self.number:09d}.cls", str(self.label).encode())


def _draw(job: SampleJob, images: range) -> Iterator[list[_Sample]]:
    """Draw some images of a set, a batch at a time."""
    request = job.pipeline.request(len(images), job.asked, job.samples.size, images.start)
    cells = (request.height, request.width)
    for batch in request.batches(job.batch_size):
        numbers, values = images[batch.start : batch.stop], request.rows(batch)
        codes = sample_numbered(job.pipeline, numbers, values, cells, job.samples.seed, job.samples)
        pictures = job.pipeline.pictures(codes)
        labels = values[CLASS].tolist() if CLASS in values else [None] * len(numbers)
        yield [
            _Sample(number, picture, label)
            for number, picture, label in zip(numbers, pictures, labels, strict=True)
        ]


def join_samples(folder: Path) -> SampleManifest:
    """Write the manifest of a set of samples whose shards are all finished.

    Raises:
        InputError: shards are missing or cut short, some were made by another prior, or the folder
            holds no samples.
    """
    samples = SAMPLES.read_description(folder)
    shards = SAMPLES.complete(folder, samples, samples.names)
    manifest = SampleManifest(samples=samples, shards=shards)
    write_config(folder / MANIFEST_FILE, manifest)
    return manifest


def check_complete(folder: Path) -> None:
    """Check that a set of samples has all its shards; a folder of anything else passes.

    Raises:
        InputError: shards are missing or cut short, or were made by another prior.
    """
    if (folder / SAMPLES.description_file).is_file():
        samples = SAMPLES.read_description(folder)
        SAMPLES.complete(folder, samples, samples.names)

"""`smalti encode MODEL --data SRC`: encodes whole data sets into a folder of shards."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from smalti.cli.output import to_device
from smalti.cli.shards import check_hashes, is_divided, make_shards, say_how_to_join
from smalti.codes.encode import (
    EncodingJob,
    ViewEncoder,
    encode_shard,
    encoding_of,
    finished,
    views_of,
)
from smalti.codes.manifest import CODES, begin_folder, join, missing_shards
from smalti.codes.plan import PlannedShard, plan_shards
from smalti.codes.shard_files import check_format
from smalti.conditions import Setup
from smalti.conditions.conditioning import conditioning_of
from smalti.conditions.opening import RunConditions, open_conditions
from smalti.config import InputError
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.loader import BatchLoader
from smalti.data.pairing.matching import describe
from smalti.data.sources import open_source
from smalti.data.summary import check_sizes
from smalti.distributed import from_first, together
from smalti.runs.state import read_config
from smalti.tokenizer.base import Tokenizer
from smalti.tokenizer.load import load_tokenizer
from smalti.training.prior.condition_columns import columns_of
from smalti.words import counted


def encode_data(options: argparse.Namespace, folder: Path) -> None:
    """Encode this process's share of the shards, and write the manifest if none is missing.

    Raises:
        InputError: an option, the data or the folder do not allow it; finished shards are kept.
    """
    with together():
        check_format(options.format)
    make_shards(partial(open_encoding, options, folder), options, "encoded")
    from_first(partial(_finish, options, folder))


@dataclass(slots=True)
class EncodingWork:
    """A data set that is encoded into shards of codes."""

    job: EncodingJob
    encoder: ViewEncoder
    shards: Sequence[PlannedShard]
    condition_tokenizers: Sequence[Tokenizer]

    @property
    def folder(self) -> Path:
        """Folder of the shards."""
        return self.job.folder

    @property
    def sizes(self) -> Sequence[int]:
        """Number of images of each shard."""
        return [len(shard.images) for shard in self.shards]

    def begin(self) -> None:
        """Note in the folder how it is encoded, or check that it is encoded in the same way."""
        begin_folder(self.folder, self.job.encoding)

    def is_finished(self, number: int) -> bool:
        """Whether a shard was encoded before."""
        return finished(self.job, self.shards[number]) is not None

    def use(self, device: str) -> None:
        """Move all tokenizers to the device of `--device`, and print which it is."""
        self.encoder = replace(self.encoder, device=to_device(self.encoder.tokenizer, device))
        for tokenizer in self.condition_tokenizers:
            tokenizer.to(self.encoder.device)
        self.job = replace(self.job, encoder=self.encoder)

    def announce(self) -> None:
        """Print what is encoded."""
        encoding = self.job.encoding
        height, width = encoding.size
        print(
            f"data: {counted(encoding.images, 'image')} in {counted(len(self.shards), 'shard')}; "
            f"crops of {height}x{width}, {counted(len(encoding.views), 'view')} of each"
        )
        pairing = self.job.loader.dataset.pairing
        if pairing:
            print(f"pairs: {describe(pairing)}")

    def make(self, number: int, on_images: Callable[[int], object]) -> int:
        """Encode a shard, and return the number of its images."""
        return encode_shard(self.job, self.shards[number], on_images).images


def open_encoding(options: argparse.Namespace, folder: Path) -> EncodingWork:
    """Open model and data, and plan the shards."""
    tokenizer = load_tokenizer(options.model)
    conditions = open_conditions(options.condition, folder, tokenizer)
    image = _transform(options)
    setup = Setup(
        height_px=image.height_px,
        width_px=image.width_px,
        cell_px=tokenizer.downsampling_factor,
        low_resolution_factor=options.low_resolution_factor,
    )
    dataset = _open_data(options, tokenizer, image, conditions, setup)
    shards = plan_shards(dataset, options.shard_images)
    views = views_of(options.crops, options.flip)
    conditioning = conditioning_of(conditions.configs(setup, dataset), conditions.tokenizers)
    columns = columns_of(conditioning)
    encoding = encoding_of(tokenizer, dataset, views, options.format, shards, columns)
    loader = BatchLoader(dataset, options.batch_size, options.seed, options.workers)
    cpu = torch.device("cpu")
    encoder = ViewEncoder(tokenizer, cpu, views, conditioning if columns else None)
    job = EncodingJob(folder, encoding, loader, options.batch_size, encoder)
    return EncodingWork(job, encoder, shards, tuple(conditions.tokenizers.values()))


def _transform(options: argparse.Namespace) -> TransformConfig:
    """How pictures are read: at the size and in the way of the tokenizer's run unless options say.

    Raises:
        InputError: there is no run to say the size.
    """
    trained = read_config(Path(options.model))
    if trained is None and options.size is None:
        raise InputError(f"{options.model} is no run that says the size of images; give --size")
    image = TransformConfig() if trained is None else trained.image
    changed = {"size": options.size, "small": options.small}
    changed = {name: value for name, value in changed.items() if value is not None}
    return image.model_copy(update=changed | {"crop": "random", "flip": False})


def _open_data(
    options: argparse.Namespace,
    tokenizer: Tokenizer,
    image: TransformConfig,
    conditions: RunConditions,
    setup: Setup,
) -> ImageDataset:
    """Open the images with their conditions.

    Raises:
        InputError: a source does not exist, is empty, or lacks classes or a condition, or an image
            is too small.
    """
    part, classes = tokenizer.content.part, options.classes or conditions.need_classes
    sources = [open_source(spec, classes, part) for spec in options.data]
    pairs = conditions.pairs(setup)
    dataset = ImageDataset(sources, image, options.seed, content=tokenizer.content, paired=pairs)
    check_sizes(dataset)
    return dataset


def _finish(options: argparse.Namespace, folder: Path) -> None:
    """Write the manifest, or say what to run when other workers are done."""
    if join_if_all_are_there(options, folder) and options.format == "safetensors":
        words = "".join(f" --condition {spec}" for spec in options.condition)
        print(f"next: smalti train prior --codes {folder} --vqgan {options.model}{words}")


def join_if_all_are_there(options: argparse.Namespace, folder: Path) -> bool:
    """Write the manifest and print what is in it, or say what to run when other workers are done.

    Returns:
        Whether the folder is finished.

    Raises:
        InputError: a shard is missing that no other worker makes.
    """
    missing = len(missing_shards(folder))
    if missing and is_divided(options):
        say_how_to_join(options, "smalti encode", folder, missing)
        return False
    join_folder(folder)
    return True


def check_and_join(folder: Path) -> None:
    """Compare all shards with their records, and write the manifest: what `--join` does.

    Raises:
        InputError: as `join_folder`, or a shard is not the one that was written.
    """
    check_hashes(CODES, folder)
    join_folder(folder)


def join_folder(folder: Path) -> None:
    """Write the manifest of a folder, and print what is in it.

    Raises:
        InputError: a shard is missing, or the folder holds no codes.
    """
    manifest = join(folder)
    height, width = manifest.encoding.grid
    print(
        f"done: codes of {counted(manifest.images, 'image')} in "
        f"{counted(len(manifest.shards), 'shard')}, grids of {height}x{width} in "
        f"[0, {manifest.encoding.codebook_size}), in {folder}"
    )
    if manifest.left_out:
        print(f"left out: {counted(manifest.left_out, 'image')}, broken or too small")

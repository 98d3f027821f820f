"""What a run of stage 2 learns from: images that it encodes itself, or codes that lie in shards."""

import abc
from collections.abc import Callable, Iterator
from pathlib import Path

from torch import nn

from smalti.codes.read import CodeShards
from smalti.compute import Compute
from smalti.data.loader import BatchLoader
from smalti.data.pairing.matching import describe
from smalti.data.split import Split
from smalti.distributed import from_first, together
from smalti.health.run_images import RunImages
from smalti.runs.config import PriorRunConfig
from smalti.runs.data import announce, announce_run, evaluated_batches, finish
from smalti.runs.origin import keep_origin
from smalti.runs.settle import settled
from smalti.runs.training_images import (
    TokenizerImages,
    count_overlap,
    keep_tokenizer_images,
    write_training_images,
)
from smalti.training.curves import draw_curves
from smalti.training.log import say
from smalti.training.prior.code_batch import BatchEncoder, CodeBatch
from smalti.training.prior.code_cache import load_or_encode
from smalti.training.prior.code_shards import ShardBatches, ShardSplit
from smalti.words import counted

CODES_FOLDER = "codes"

Batches = Callable[[int], Iterator[CodeBatch]]
"""Function that gives the endless training batches from a step on."""


class PriorData(abc.ABC):
    """The data of a run of stage 2, before anything is written."""

    images: RunImages
    """Numbers of the images."""

    @abc.abstractmethod
    def announce(self, config: PriorRunConfig, compute: Compute) -> None:
        """Print what the run learns from."""

    @abc.abstractmethod
    def keep(self, folder: Path, init: nn.Module | None) -> None:
        """Write what the run must know of its data later, and of the model that it begins with."""

    @abc.abstractmethod
    def open_codes(
        self, config: PriorRunConfig, encoder: BatchEncoder
    ) -> tuple[Batches, list[CodeBatch]]:
        """Make the training batches, and this process's share of what is evaluated.

        Raises:
            InputError: codes are damaged, or cannot be written.
        """

    @abc.abstractmethod
    def finish(self, folder: Path) -> None:
        """Draw the curves of a finished run, and print what it skipped."""


class ImageData(PriorData):
    """Images of which the run makes a cache of codes.

    Args:
        split: training images and held-out images.
        loader: loader of the training images.
        tokenizer_images: the images that the tokenizers were trained on.
    """

    def __init__(
        self, split: Split, loader: BatchLoader, tokenizer_images: TokenizerImages
    ) -> None:
        self.split, self._loader, self._tokenizer_images = split, loader, tokenizer_images
        self.images = RunImages.of(split, count_overlap(split, tokenizer_images))

    def announce(self, config: PriorRunConfig, compute: Compute) -> None:
        """Print folder, device and data, and which files belong to which images."""
        train = self.split.train
        announce(config, compute, self.split)
        for line in self.images.overlap_in_words:
            say(f"data: {line}")
        if train.pairing:
            say(f"pairs: {describe(train.pairing)}")
        for pair in train.pairs.values():
            for line in pair.remarks(train.transform):
                say(line)

    def keep(self, folder: Path, init: nn.Module | None) -> None:
        """Write hashes of the data, and which images are trained on."""
        keep_origin(folder, self.split.train.fingerprint(), init)
        keep_tokenizer_images(folder, self._tokenizer_images)
        write_training_images(folder, self.split)

    def open_codes(
        self, config: PriorRunConfig, encoder: BatchEncoder
    ) -> tuple[Batches, list[CodeBatch]]:
        """Load the cache of codes or make it, and encode the images to evaluate."""
        folder = cache_folder(config)
        cache = load_or_encode(folder, self._loader, encoder, settled(config.codes.views))
        with together():
            evaluation = [encoder.encode(b) for b in evaluated_batches(config, self.split)]
        return cache.batches, evaluation

    def finish(self, folder: Path) -> None:
        """Draw the curves, and print how many images were skipped."""
        finish(folder, self.split)


def cache_folder(config: PriorRunConfig) -> Path:
    """Folder of the codes that a run makes itself."""
    return Path(config.codes.folder or Path(config.out) / CODES_FOLDER)


class CodeData(PriorData):
    """Codes in shards that were made before the run.

    Args:
        shards: the codes.
        held_out: share of the rows to hold out.
        tokenizer_images: the images that the tokenizers were trained on.
    """

    def __init__(
        self, shards: CodeShards, held_out: float, tokenizer_images: TokenizerImages
    ) -> None:
        self._tokenizer_images = tokenizer_images
        self._shards, self._split = shards, ShardSplit(shards.sizes, held_out)
        self.images = RunImages(sum(self._split.training), self._split.held_out)

    def announce(self, config: PriorRunConfig, compute: Compute) -> None:
        """Print folder, device and data."""
        announce_run(config, compute)
        views = counted(len(self._shards.manifest.encoding.views), "view")
        say(f"data: {self._shards}, {views} of each; {self.images}")

    def keep(self, folder: Path, init: nn.Module | None) -> None:
        """Write the hash of the manifest."""
        keep_origin(folder, self._shards.fingerprint, init)
        keep_tokenizer_images(folder, self._tokenizer_images)

    def open_codes(
        self, config: PriorRunConfig, encoder: BatchEncoder
    ) -> tuple[Batches, list[CodeBatch]]:
        """Open batches that read the shards, and read the rows to evaluate."""
        training = config.training
        batches = ShardBatches(
            self._shards,
            self._split,
            encoder.conditioning,
            training.batch_size,
            config.seed,
            training.accumulation_steps,
        )
        with together():
            evaluation = batches.evaluation(training.eval_images)
        return batches.batches, evaluation

    def finish(self, folder: Path) -> None:
        """Draw the curves."""
        from_first(lambda: draw_curves(folder))

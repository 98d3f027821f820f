"""The overlap of a prior's held-out images with those that its tokenizers were trained on."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from smalti.conditions.opening import condition_folder
from smalti.data.split import Split
from smalti.runs.config import PriorRunConfig
from smalti.runs.training_images import TrainingImages, find_training_images
from smalti.sampling.pipeline import TOKENIZER_FOLDER

TokenizerImages = Mapping[str, TrainingImages | None]
"""Training images of tokenizers, by the tokenizer's folder in a run; None if they are not known."""


def tokenizer_images(config: PriorRunConfig, conditions: Iterable[str]) -> TokenizerImages:
    """Find the training images of each tokenizer of a run.

    `conditions` are the kinds of the conditions that have a tokenizer.

    Raises:
        InputError: a file with the training images is damaged.
    """
    named = dict(spec.split("=", 1) for spec in config.condition if "=" in spec)
    run = Path(config.out)
    images = {TOKENIZER_FOLDER: _images(run, TOKENIZER_FOLDER, config.vqgan, config.init)}
    for kind in conditions:
        folder = str(condition_folder(Path(), kind))
        if kind in named or config.init is not None:  # else it is the tokenizer of the images
            images[folder] = _images(run, folder, named.get(kind), config.init)
    return images


def _images(run: Path, folder: str, place: str | None, init: str | None) -> TrainingImages | None:
    """Training images of a run's copy of a tokenizer, or else of the original."""
    if (run / folder).is_dir():
        return TrainingImages.read(run / folder)
    if place is not None:
        return find_training_images(place)
    return None if init is None else find_training_images(init, folder)


def keep_tokenizer_images(run: Path, images: TokenizerImages) -> None:
    """Write the training images of each tokenizer of a run beside it, if they are known.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    for folder, trained in images.items():
        if trained is not None:
            trained.write(run / folder)


def count_overlap(split: Split, images: TokenizerImages) -> dict[str, int | None]:
    """Count the held-out images that each tokenizer was trained on; None if it is not known.

    The tokenizer of the images is called "tokenizer", that of a condition by its kind.
    """
    if split.held_out is None:
        return {}
    overlap: dict[str, int | None] = {}
    for folder, trained in images.items():
        seen = 0 if trained is None else int(trained.among(split.held_out).sum())
        is_known = trained is not None and (trained.is_whole or seen == len(split.held_out))
        overlap[Path(folder).name] = seen if is_known else None
    return overlap

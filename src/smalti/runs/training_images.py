"""Records the images that a model was trained on, by their names.

RUN/training_images.safetensors   hashes of the names of all images that were ever trained on, and
                                  the rule by which the run holds images out

A copy goes with the tokenizer into the run of each prior, which so knows how many of its held-out
images the tokenizer has seen.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from smalti.conditions.opening import condition_folder
from smalti.config import InputError
from smalti.data.dataset import ImageDataset
from smalti.data.split import OwnNames, SceneNames, Split, SplitRule, name_hashes
from smalti.files import atomic_file
from smalti.model_download import TOKENIZER_FOLDER
from smalti.model_folder import BEST, find_model, read_tensors, step_folders, write_tensors
from smalti.runs.config import PriorRunConfig

FILE = "training_images.safetensors"
NAMES = "names."
RULE_COMPONENTS, IS_WHOLE = "rule.components", "is_whole"


@dataclass(frozen=True, slots=True)
class TrainingImages:
    """The images that a model was trained on, by their names."""

    names: Mapping[int, NDArray[np.int64]]
    """Sorted hashes of the names, by the number of components of the path that make a name."""
    rule: SplitRule
    """Rule by which the run of the model holds images out."""
    is_whole: bool = True
    """Whether all are known; False if the run began with a model of unknown training images."""

    @classmethod
    def of(cls, split: Split) -> Self:
        """The training images of a data set that was split."""
        rule = split.rule if isinstance(split.rule, OwnNames) else OwnNames.fitting(split.train)
        hashes = np.unique(name_hashes(split.train, rule.components))
        return cls({rule.components: hashes}, split.rule)

    def and_of(self, other: "TrainingImages | None") -> "TrainingImages":
        """Add the images of the model that the training began with; None if they are not known."""
        if other is None:
            return TrainingImages(self.names, self.rule, is_whole=False)
        none = np.zeros(0, np.int64)
        names = {
            components: np.union1d(
                self.names.get(components, none), other.names.get(components, none)
            )
            for components in self.names.keys() | other.names.keys()
        }
        return TrainingImages(names, self.rule, self.is_whole and other.is_whole)

    def among(self, dataset: ImageDataset) -> NDArray[np.bool_]:
        """Whether each image of a data set was trained on, (N,), by its name."""
        was_seen = np.zeros(len(dataset), np.bool_)
        for components, hashes in self.names.items():
            was_seen |= np.isin(name_hashes(dataset, components), hashes)
        return was_seen

    def write(self, folder: Path) -> None:
        """Write the file into a run's or a model's folder.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        tensors = {f"{NAMES}{key}": torch.from_numpy(names) for key, names in self.names.items()}
        components = self.rule.components if isinstance(self.rule, OwnNames) else 0
        tensors |= {
            RULE_COMPONENTS: torch.tensor(components),
            IS_WHOLE: torch.tensor(self.is_whole),
        }
        with atomic_file(folder / FILE) as temporary:
            write_tensors(temporary, tensors)

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read the file of a folder; None without one.

        Raises:
            InputError: the file is damaged.
        """
        if not (folder / FILE).is_file():
            return None
        tensors = read_tensors(folder / FILE)
        if not {RULE_COMPONENTS, IS_WHOLE} <= tensors.keys():
            raise InputError(f"{folder / FILE} is not a file of training images")
        components = int(tensors.pop(RULE_COMPONENTS))
        is_whole = bool(tensors.pop(IS_WHOLE))
        names = {int(key.removeprefix(NAMES)): names.numpy() for key, names in tensors.items()}
        return cls(names, OwnNames(components) if components else SceneNames(), is_whole)


TokenizerImages = Mapping[str, TrainingImages | None]
"""Training images of tokenizers, by the tokenizer's folder in a run; None if they are not known."""


def rule_of_run(run: Path) -> SplitRule | None:
    """The rule by which a run holds images out, or None before the run begins.

    A run that has trained without writing a rule is older than the file.

    Raises:
        InputError: the file is damaged.
    """
    written = TrainingImages.read(run)
    if written is not None:
        return written.rule
    checkpoints = run / "checkpoints"
    has_begun = step_folders(checkpoints) or (checkpoints / BEST).is_dir()
    return SceneNames() if has_begun else None


def find_training_images(model: str | Path, inner: str = "") -> TrainingImages | None:
    """Find the training images of a run's model or of a model folder; None if they are not known.

    The model is a run, a folder or a hub id; `inner` is the folder of a tokenizer of a pipeline.

    Raises:
        InputError: there is no model, or the file is damaged.
    """
    folder = find_model(model)
    run = folder.parent.parent if folder.parent.name == "checkpoints" else folder
    files = (TrainingImages.read(place / inner) for place in (folder, run))
    return next((images for images in files if images is not None), None)


def write_training_images(run: Path, split: Split, init: str | None = None) -> None:
    """Write the images that a run trains on, added to all that it trained on before.

    Those of the model of `init`, with whose weights the run began, are added too.

    Raises:
        InputError: the disk is full or the folder cannot be written, or there is no such model.
    """
    images, before = TrainingImages.of(split), TrainingImages.read(run)
    if before is not None:
        images = images.and_of(before)
    elif init is not None:
        images = images.and_of(find_training_images(init))
    images.write(run)


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

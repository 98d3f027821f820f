"""Records the images that a model was trained on, by their names.

RUN/training_images.safetensors   hashes of the names of all images that were ever trained on, and
                                  the rule by which the run holds images out

A copy goes with the tokenizer into the run of each prior.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from smalti.config import InputError
from smalti.data.dataset import ImageDataset
from smalti.data.split import OwnNames, SceneNames, Split, SplitRule, name_hashes
from smalti.files import atomic_file
from smalti.model_folder import BEST, find_model, read_tensors, step_folders, write_tensors

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

    Args:
        model: a run, a model folder or a hub id.
        inner: folder of a tokenizer of a pipeline; empty for the model itself.

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

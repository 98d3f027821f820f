"""Splits a data set into training images and held-out images.

The side of an image follows from the last component of its path, without the suffix. It is the same
whichever folder above was named, and the same for a photograph and its label map. So a tokenizer
and a prior that learn from one data set hold out the same images.

N: images of a data set.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smalti.config import InputError
from smalti.data.dataset import ImageDataset
from smalti.data.sources.base import name_bytes
from smalti.data.sources.parts import former_scene

MIN_IMAGES_TO_SPLIT = 20
"""Smaller data sets are not split: one or two held-out images measure nothing."""
ENOUGH_NAMES = 100
"""So many different names are enough to hold out about the wanted fraction of the images."""
HASH_BITS = 48


@dataclass(frozen=True, slots=True)
class OwnNames:
    """Holds out the images whose names have the lowest hashes.

    Images that are added later move no other image, and all images of a name are on one side.
    """

    components: int
    """How many of the last components of the path make a name."""

    @classmethod
    def fitting(cls, dataset: ImageDataset) -> "OwnNames":
        """Take one component, or as many more as are needed for names to differ.

        If all frames are called `frame.png`, the folders' names count too.
        """
        enough = min(ENOUGH_NAMES, len(dataset) / 2)
        hashes = name_hashes(dataset, 1)
        components = 1
        while _different(hashes) < enough:
            longer = name_hashes(dataset, components + 1)
            if np.array_equal(longer, hashes):  # the paths have no more
                break
            components, hashes = components + 1, longer
        return cls(components)

    def held_out(self, dataset: ImageDataset, fraction: float) -> NDArray[np.bool_]:
        """Whether each image is held out, (N,); at least one is if there are two names."""
        hashes = name_hashes(dataset, self.components)
        chosen: NDArray[np.bool_] = hashes < fraction * 2**HASH_BITS
        chosen |= hashes == hashes.min()
        chosen &= hashes != hashes.max()
        return chosen


@dataclass(frozen=True, slots=True)
class SceneNames:
    """The rule of runs from before `OwnNames`, which hashes the path below the data set's root."""

    def held_out(self, dataset: ImageDataset, fraction: float) -> NDArray[np.bool_]:
        """Whether each image is held out, (N,); at least one is."""
        scenes = (former_scene(*dataset.place(index)) for index in range(len(dataset)))
        hashes = np.fromiter(map(name_hash, scenes), np.int64, len(dataset))
        chosen: NDArray[np.bool_] = hashes / 2**HASH_BITS < fraction
        chosen[hashes.argmin()] = True
        chosen[hashes.argmax()] = False
        return chosen


SplitRule = OwnNames | SceneNames


@dataclass(frozen=True, slots=True)
class Split:
    """The training images and the held-out images of a data set."""

    train: ImageDataset
    held_out: ImageDataset | None
    """The held-out images; None if the data set is too small, or the fraction is 0."""
    rule: SplitRule
    """Rule by which the data set was split."""

    @property
    def evaluated(self) -> ImageDataset:
        """The images to evaluate on: the held-out images or, without any, the training images."""
        return self.train if self.held_out is None else self.held_out


def split_held_out(dataset: ImageDataset, fraction: float, rule: SplitRule | None = None) -> Split:
    """Hold out about `fraction` of the images for evaluation.

    From 20 images on, each side has at least one; smaller data sets are not split. Without a rule,
    the names decide that fit the data set.

    Raises:
        InputError: the fraction is not in [0, 1).
    """
    if not 0 <= fraction < 1:
        raise InputError(f"the held-out fraction is {fraction}; allowed are 0 to below 1")
    rule = OwnNames.fitting(dataset) if rule is None else rule
    held_out = held_out_images(dataset, fraction, rule)
    if not held_out.any():
        return Split(dataset, None, rule)
    train, others = (
        dataset.subset(np.flatnonzero(side).tolist()) for side in (~held_out, held_out)
    )
    return Split(train, others, rule)


def held_out_images(dataset: ImageDataset, fraction: float, rule: SplitRule) -> NDArray[np.bool_]:
    """Whether each image is held out, (N,); none is in a small data set or with a fraction of 0."""
    if fraction == 0 or len(dataset) < MIN_IMAGES_TO_SPLIT:
        return np.zeros(len(dataset), np.bool_)
    return rule.held_out(dataset, fraction)


def name_hashes(dataset: ImageDataset, components: int) -> NDArray[np.int64]:
    """Hashes (N,) in [0, 2**48) of the names of all images, uniform over names."""
    return np.fromiter(map(name_hash, dataset.own_names(components)), np.int64, len(dataset))


def name_hash(name: str) -> int:
    """Hash in [0, 2**48) of a name, uniform over names."""
    digest = hashlib.blake2b(name_bytes(name), digest_size=HASH_BITS // 8).digest()
    return int.from_bytes(digest)


def _different(hashes: NDArray[np.int64]) -> float:
    """Effective number of names: that of equally frequent names which coincide as often.

    A name that most images have makes the others count for little.
    """
    counts = np.unique(hashes, return_counts=True)[1]
    return float(len(hashes) ** 2 / np.square(counts).sum())

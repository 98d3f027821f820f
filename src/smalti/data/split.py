"""A data set in two parts: images to learn from, and images that are held out.

An image's side follows from its own name, the last component of its path without the suffix. It is
the same whichever folder above it was named, and the same for a photograph and its label map. So a
tokenizer and a prior that learn from one data set hold out the same images.

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
"""Smaller data sets are not divided: a held-out part of one or two images measures nothing."""
ENOUGH_NAMES = 100
"""With so many different names about the wanted share of the images is held out."""
HASH_BITS = 48


@dataclass(frozen=True, slots=True)
class OwnNames:
    """Holds out the images whose own names have the lowest hashes.

    Images that are added later move no other, and all images of a name are on one side.
    """

    components: int
    """How many components of the path, from its end, make a name."""

    @classmethod
    def fitting(cls, dataset: ImageDataset) -> "OwnNames":
        """One component, or as many more as are needed for names to differ.

        Frames that are all called `frame.png` go by their folders' names too.
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
        """Which images are held out, (N,); at least one, if there are two names."""
        hashes = name_hashes(dataset, self.components)
        chosen: NDArray[np.bool_] = hashes < fraction * 2**HASH_BITS
        chosen |= hashes == hashes.min()
        chosen &= hashes != hashes.max()
        return chosen


@dataclass(frozen=True, slots=True)
class SceneNames:
    """The rule of runs that were begun before `OwnNames`: by the path below the data set's root."""

    def held_out(self, dataset: ImageDataset, fraction: float) -> NDArray[np.bool_]:
        """Which images are held out, (N,); at least one."""
        scenes = (former_scene(*dataset.place(index)) for index in range(len(dataset)))
        hashes = np.fromiter(map(_hash, scenes), np.int64, len(dataset))
        chosen: NDArray[np.bool_] = hashes / 2**HASH_BITS < fraction
        chosen[hashes.argmin()] = True
        chosen[hashes.argmax()] = False
        return chosen


SplitRule = OwnNames | SceneNames


@dataclass(frozen=True, slots=True)
class Split:
    """A data set in two parts without a common image."""

    train: ImageDataset
    held_out: ImageDataset | None
    """None where the data set is too small to hold anything out, or nothing is to be."""
    rule: SplitRule
    """By which it was divided."""

    @property
    def evaluated(self) -> ImageDataset:
        """The images that scores are of: the held-out ones, or without any the training images."""
        return self.train if self.held_out is None else self.held_out


def split_held_out(dataset: ImageDataset, fraction: float, rule: SplitRule | None = None) -> Split:
    """Hold out about `fraction` of the images for evaluation.

    From 20 images on, each side has one at least; smaller data sets are not divided.

    Args:
        dataset: to divide.
        fraction: in [0, 1).
        rule: which images are held out; None takes the own names that fit the data set.

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
    """Which images of a data set are held out, (N,); none of a small one, or of a fraction of 0."""
    if fraction == 0 or len(dataset) < MIN_IMAGES_TO_SPLIT:
        return np.zeros(len(dataset), np.bool_)
    return rule.held_out(dataset, fraction)


def name_hashes(dataset: ImageDataset, components: int) -> NDArray[np.int64]:
    """Hashes (N,) in [0, 2**48) of the names of all images, uniform over names."""
    return np.fromiter(map(_hash, dataset.own_names(components)), np.int64, len(dataset))


def _hash(name: str) -> int:
    digest = hashlib.blake2b(name_bytes(name), digest_size=HASH_BITS // 8).digest()
    return int.from_bytes(digest)


def _different(hashes: NDArray[np.int64]) -> float:
    """How many equally frequent names would coincide as often as these, which may be of any number.

    A name that most images have makes the others count for little.
    """
    counts = np.unique(hashes, return_counts=True)[1]
    return float(len(hashes) ** 2 / np.square(counts).sum())

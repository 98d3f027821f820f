"""Sources joined into one data set of image tensors.

A sample number counts the images of the first source, then those of the second, and so on.
"""

import copy
import hashlib
import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from smalti.config import InputError
from smalti.content import ContentConfig, RGBContent
from smalti.data.config import TransformConfig
from smalti.data.decode import BrokenImageError, PixelSize
from smalti.data.order import order, weighted_order
from smalti.data.pairing.base import FilePair, Paired
from smalti.data.pairing.companions import Companions
from smalti.data.readers import reader_of
from smalti.data.sources.base import ImageSource, RawImage, printable
from smalti.data.sources.parts import describe_parts, own_name, scene
from smalti.data.transforms import Crop, center_crop, draw_crop
from smalti.randomness import generator_for
from smalti.types import Sample
from smalti.words import all_are

logger = logging.getLogger(__name__)

DEFAULT_CONTENT = RGBContent()
MOST_NAMED = 100
"""How many of the images that are left out the log names."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A sample that was read, and the broken images that were met on the way."""

    sample: Sample | None
    """The sample; None if its image is broken and the caller wants no other in its place."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """For each broken image that was met, by key, what is wrong with it."""


class ImageDataset:
    """Images of one or several sources as tensors, with random access.

    Loading is a pure function of (sample number, epoch), so any process may do it; `report` counts
    broken images in the process that trains.

    Args:
        sources: where the images come from; all with classes, or all without. Classes of the same
            name are one class.
        transform: how a picture becomes an image.
        seed: seed of the random crops and flips.
        weights: how often each source is drawn, relative to the others; None draws each image once
            an epoch.
        content: what the images are.
        paired: kinds of data that each image is read with. Images that lack a file are left out.

    Raises:
        InputError: there is no source, the weights do not fit, or only some of the sources have
            classes; or paired data is missing, or belongs to no image of a source.
    """

    def __init__(
        self,
        sources: Sequence[ImageSource],
        transform: TransformConfig,
        seed: int,
        weights: Sequence[float] | None = None,
        content: ContentConfig = DEFAULT_CONTENT,
        paired: Sequence[Paired] = (),
    ) -> None:
        if not sources:
            raise InputError("no data given; at least one data set is needed")
        self.content = content
        self._reader = reader_of(content)
        self.weights = None if weights is None else _checked_weights(weights, len(sources))
        self.broken: dict[str, str] = {}
        """For each image that was met and left out, by key, the reason: it is broken, or it is
        smaller than the crop and such images are skipped."""
        self.class_names = _joined_classes(sources)
        """Name of each class by its number, or None if the data set has no classes."""
        self.seed = seed
        self._sources = tuple(sources)
        self._starts = np.cumsum([0, *map(len, sources)])  # of each source, and the total
        self._members: NDArray[np.int64] = np.arange(self._starts[-1])
        self._companions = Companions(sources, paired, content, transform)
        self.pairing = self._companions.pairing
        """For each kind of paired files, which images have one. It counts all images, before those
        without a file were left out, and is the same for every subset."""
        if self._companions.positions is not None:
            complete = zip(self._starts[:-1], self._companions.positions, strict=True)
            self._members = np.concatenate([start + np.array(places) for start, places in complete])
        self.transform = transform.settled(len(self._members))
        """The transform, where `small` is no longer auto: it follows from the data set's size."""
        self._class_numbers = {name: number for number, name in enumerate(self.class_names or ())}

    def __len__(self) -> int:
        return len(self._members)

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Sample numbers (len(self),) of an epoch: each once, or drawn by the sources' weights."""
        if self.weights is None:
            return order(seed, epoch, len(self)).numpy()
        edges = np.searchsorted(self._members, self._starts)
        return weighted_order(seed, epoch, np.diff(edges).tolist(), self.weights).numpy()

    def sample(self, index: int, epoch: int) -> Sample:
        """Load a training sample, which is a function of (seed, epoch, index).

        A broken image is logged, counted in `broken` and replaced by the next good one.

        Raises:
            InputError: an image is smaller than the crop and `small` is error, or all images are
                left out.
        """
        loaded = self.load(index, epoch)
        self.report(loaded.broken)
        assert loaded.sample is not None, "load() replaces broken images"
        return loaded.sample

    def load(self, index: int, epoch: int) -> Loaded:
        """Load as `sample` does, but leave the counting of broken images to the caller."""
        generator = generator_for(self.seed, epoch, int(self._members[index]))
        broken: dict[str, str] = {}
        for step in range(len(self)):
            try:
                decoded = self._decode((index + step) % len(self))
                crop = draw_crop(decoded.size, self.transform, generator, decoded.key)
            except BrokenImageError as error:
                broken[error.key] = error.reason
                continue
            return Loaded(self._sample(decoded, crop), broken)
        key, reason = next(iter(broken.items()))
        what = "broken or too small" if self.transform.small == "skip" else "broken"
        raise InputError(f"{all_are(len(self), 'image')} {what}, as {key}: {reason}")

    def load_center(self, index: int) -> Loaded:
        """Load an evaluation sample: center crop and no flip; a broken image gives no sample.

        Raises:
            InputError: the image is smaller than the crop and `small` is error.
        """
        try:
            decoded = self._decode(index)
            crop = center_crop(decoded.size, self.transform, decoded.key)
        except BrokenImageError as error:
            return Loaded(None, {error.key: error.reason})
        return Loaded(self._sample(decoded, crop))

    def load_crops(self, index: int, crops: int, mirrored: bool = False) -> list[Loaded]:
        """Load several crops of an image, which is read once; a broken image gives no sample.

        Args:
            index: number of the image.
            crops: number of random crops; crop `i` is the one of epoch `i`. A single crop is the
                center crop.
            mirrored: whether each crop is followed by the same one mirrored. Otherwise random crops
                are mirrored as the transform says.

        Raises:
            InputError: the image is smaller than the crop and `small` is error.
        """
        try:
            decoded = self._decode(index)
            drawn = [self._numbered_crop(decoded, index, number, crops) for number in range(crops)]
        except BrokenImageError as error:
            return [Loaded(None, {error.key: error.reason})]
        if mirrored:
            drawn = [crop._replace(flip=flip) for crop in drawn for flip in (False, True)]
        return [Loaded(self._sample(decoded, crop)) for crop in drawn]

    def _numbered_crop(self, decoded: "_Decoded", index: int, number: int, crops: int) -> Crop:
        """One of several crops of an image, or its only one."""
        if crops == 1:
            return center_crop(decoded.size, self.transform, decoded.key)
        generator = generator_for(self.seed, number, int(self._members[index]))
        return draw_crop(decoded.size, self.transform, generator, decoded.key)

    @property
    def sources(self) -> Sequence[ImageSource]:
        """The sources, whose images follow each other."""
        return self._sources

    def report(self, broken: Mapping[str, str]) -> None:
        """Log and count images that are left out and were not met before."""
        for key, reason in broken.items():
            if key in self.broken:
                continue
            self.broken[key] = reason
            if len(self.broken) <= MOST_NAMED:
                logger.warning("skipped image %s: %s", key, reason)
            elif len(self.broken) == MOST_NAMED + 1:
                logger.warning("further images that are skipped are counted, not named")

    def number_from(self, position: int) -> int:
        """Number of the first image from a position on among the images of all sources.

        The positions count those that lack a file of paired data, too.
        """
        return int(np.searchsorted(self._members, position))

    def raw(self, index: int) -> RawImage:
        """Read an image as it is stored, with its class number in this data set.

        Raises:
            BrokenImageError: it cannot be read.
        """
        source, position = self.place(index)
        raw = source.read(position)
        return RawImage(raw.key, raw.content, self.label(index))

    def name(self, index: int) -> str:
        """Name of an image inside its source, the same wherever the data set lies."""
        source, position = self.place(index)
        return source.name(position)

    def scene(self, index: int) -> str:
        """Name of the scene that an image shows, the same for a photograph and its label map."""
        return scene(*self.place(index))

    @property
    def folders(self) -> list[str]:
        """For each source with several files of a scene, a line that names the folders by kind."""
        lines = (describe_parts(source.parts) for source in self._sources)
        return [line for line in lines if line]

    def place(self, index: int) -> tuple[ImageSource, int]:
        """The source of an image, and the number of the image there."""
        number, position = self._place(index)
        return self._sources[number], position

    def own_names(self, components: int = 1) -> Iterator[str]:
        """The last components of each image's path, the same whichever folder above was named.

        The number of the source stands above all folders.
        """
        sources = np.searchsorted(self._starts, self._members, side="right") - 1
        positions = self._members - self._starts[sources]
        for number, position in zip(sources.tolist(), positions.tolist(), strict=True):
            yield own_name(self._sources[number], position, components, str(number))

    @property
    def left_out(self) -> Mapping[str, int]:
        """How many files beside the images are not read, by their ending."""
        return sum((Counter(source.left_out) for source in self._sources), Counter())

    @property
    def pairs(self) -> Mapping[str, Paired]:
        """For each kind, how its data is read, completed with what only its files tell."""
        return self._companions.pairs

    def partners(self, index: int) -> list[tuple[FilePair[Any], RawImage]]:
        """Read the paired files of an image as they are stored, each with how to decode it.

        Raises:
            BrokenImageError: one cannot be read.
        """
        return self._companions.read(self._place(index)[0], self.scene(index))

    def label(self, index: int) -> int | None:
        """Class number of an image, without reading the image."""
        source, position = self.place(index)
        label = source.label(position)
        if label is None or source.class_names is None:
            return None
        return self._class_numbers[source.class_names[label]]

    def fingerprint(self) -> str:
        """A hash that changes with the selection, and if an image is added, removed or replaced."""
        digest = hashlib.sha256(self._members.tobytes())
        for source in self._sources:
            digest.update(source.fingerprint().encode())
        digest.update(self._companions.fingerprint().encode())
        return digest.hexdigest()

    def subset(self, indices: Iterable[int]) -> "ImageDataset":
        """A data set of some of the images, in the same order, with a common `broken`."""
        chosen = copy.copy(self)
        chosen._members = self._members[np.array(sorted(indices), dtype=np.int64)]
        assert len(chosen), "a data set has at least one image"
        return chosen

    def _place(self, index: int) -> tuple[int, int]:
        """Number of an image's source, and number of the image there."""
        member = self._members[index]
        number = int(np.searchsorted(self._starts, member, side="right")) - 1
        return number, int(member - self._starts[number])

    def _decode(self, index: int) -> "_Decoded":
        raw = self.raw(index)
        picture = self._reader.decode(raw.content, raw.key)
        source, size = self._place(index)[0], PixelSize(*picture.size)
        partners = self._companions.decode(source, self.scene(index), raw, size)
        return _Decoded(raw.key, picture, size, raw.label, partners)

    def _sample(self, decoded: "_Decoded", crop: Crop) -> Sample:
        cropped = crop.cut(decoded.picture, self._reader.resampling)
        conditions = self._companions.conditions(decoded.partners, decoded.size, cropped, crop)
        image = crop.to_image(cropped, self._reader)
        return Sample(decoded.key, image, decoded.label, conditions)


class _Decoded(NamedTuple):
    """A good image, before it is cropped."""

    key: str
    picture: Image.Image
    size: PixelSize
    label: int | None
    partners: Mapping[str, Any]
    """Decoded content of the paired files, by kind."""


def _checked_weights(weights: Sequence[float], sources: int) -> tuple[float, ...]:
    if len(weights) != sources:
        raise InputError(f"{len(weights)} weights for {sources} data sets; give one for each")
    if any(weight < 0 or not math.isfinite(weight) for weight in weights) or sum(weights) == 0:
        listed = ", ".join(map(str, weights))
        raise InputError(f"weights are {listed}; allowed are 0 or more, and not all 0")
    return tuple(weights)


def _joined_classes(sources: Sequence[ImageSource]) -> tuple[str, ...] | None:
    """The classes of all sources in order of first appearance, or None without classes."""
    if all(source.class_names is None for source in sources):
        return None
    joined: dict[str, None] = {}
    for source in sources:
        if source.class_names is None:
            place = printable(source.location or source.name(0))
            raise InputError(f"{place} has no classes, but other data sets given with it have")
        joined.update(dict.fromkeys(source.class_names))
    return tuple(joined)

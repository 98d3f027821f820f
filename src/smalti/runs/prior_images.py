"""Reads images with the conditions of a prior, from data sets or from a user.

Axes: B batch, H/W size of the images in pixels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from smalti.conditions import Setup
from smalti.conditions.asked import Asked, by_kind, items_of
from smalti.conditions.opening import RunConditions
from smalti.config import InputError
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.loader import stack
from smalti.data.order import positions_of_some
from smalti.data.sources import is_single_file, open_source
from smalti.data.sources.base import ImageSource
from smalti.data.sources.files import NamedFiles
from smalti.evaluation.protocol import ImageRecord
from smalti.runs.described import image_record
from smalti.runs.state import read_run
from smalti.sampling.pipeline import Pipeline
from smalti.types import Sample


@dataclass(frozen=True, slots=True)
class KnownImages:
    """A batch of images with the values of a prior's conditions."""

    keys: Sequence[str]
    """Path of each image, for messages."""
    images: Tensor
    """Images (B, ...) in the form of the tokenizer's content."""
    values: Mapping[str, Tensor]
    """Values (B, ...) of each condition of the prior, by kind."""


class PriorImages:
    """Center crops of pictures of data sets and files, with the conditions of a prior.

    Args:
        pipeline: pipeline of the prior.
        specs: data sets, as for `--data`, and single files of pictures.
        transform: how a picture becomes an image; its size is replaced.
        size_px: height and width of the images; None takes that of the condition that the user
            gives, or that of the training.
        asked: conditions that the user gives, as for `Pipeline.sample`; images take several in
            turn. The others come from the data sets.

    Raises:
        InputError: a source does not exist or lacks a condition, or a condition or the size is
            wrong.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        specs: Sequence[str],
        transform: TransformConfig,
        size_px: tuple[int, int] | None = None,
        asked: Asked = None,
    ) -> None:
        self._conditioning = pipeline.conditioning
        self._asked = _asked_values(pipeline, asked)
        picture = self._conditioning.picture_size(self._asked)
        self.size_px = size_px or picture or pipeline.size
        if picture is not None and picture != self.size_px:
            raise InputError(
                f"size {self.size_px[0]}x{self.size_px[1]} differs from that of the condition, "
                f"{picture[0]}x{picture[1]} (height x width); leave the size out, or resize the "
                "condition"
            )
        pipeline.cells_of(*self.size_px)
        transform = transform.model_copy(update={"size": self.size_px})
        self.dataset = self._open(pipeline, specs, transform)
        self._class_numbers = self._classes_of_prior()
        self._chosen_of: int | None = None

    def __len__(self) -> int:
        return len(self.dataset)

    def _open(
        self, pipeline: Pipeline, specs: Sequence[str], transform: TransformConfig
    ) -> ImageDataset:
        kinds = [kind for kind in self._conditioning.kinds if kind not in self._asked]
        conditions = RunConditions(
            kinds, pipeline.condition_tokenizers, pipeline.config.conditioners
        )
        setup = Setup(
            height_px=transform.height_px,
            width_px=transform.width_px,
            cell_px=pipeline.tokenizer.downsampling_factor,
            low_resolution_factor=1,  # no effect: the prior's own config has it
        )
        content = pipeline.tokenizer.content
        try:
            sources = _sources(specs, conditions.need_classes, content.part)
            return ImageDataset(
                sources, transform, 0, content=content, paired=conditions.pairs(setup)
            )
        except InputError as error:
            missing = [
                one.kind
                for one in self._conditioning.conditions
                if one.is_asked and one.kind in kinds
            ]
            if not missing:
                raise
            raise InputError(
                f"{error} (this prior knows the condition {', '.join(missing)}, which comes with "
                "the images; sample and score also take --condition)"
            ) from error

    def _classes_of_prior(self) -> Tensor | None:
        """The prior's number of each class of the data set, or None if classes are not needed."""
        for one in self._conditioning.conditions:
            if one.needs_classes and one.kind not in self._asked:
                names = list(self.dataset.class_names or ())
                return one.values(names, len(names))
        return None

    def batches(self, batch_size: int) -> Iterator[KnownImages]:
        """Read each good image once, in order; the last batch may be smaller.

        Raises:
            InputError: an image is smaller than the crop and `small` is error, or a file that the
                user named is broken.
        """
        images: list[tuple[int, Sample]] = []
        for number in range(len(self)):
            sample = self.load(number)
            if sample is not None:
                images.append((number, sample))
            if images and (len(images) == batch_size or number + 1 == len(self)):
                yield self.batch(images)
                images = []

    def keep(self, numbers: Sequence[int]) -> None:
        """Leave out all images but those of the numbers, in their order; they are counted anew."""
        self.dataset = self.dataset.subset(numbers)

    def choose(self, count: int) -> list[int]:
        """Leave out all images but `count` of them at even distances; return their numbers."""
        numbers = positions_of_some(len(self), count)
        if len(numbers) < len(self):
            self._chosen_of = len(self)
            self.keep(numbers)
        return numbers

    def record(self, source: str, count: int) -> ImageRecord:
        """How the images were read and chosen, for a protocol.

        Args:
            source: as the user named them.
            count: number of those that could be read.
        """
        record = image_record(self.dataset, source, count)
        return record.model_copy(update={"chosen_of": self._chosen_of})

    def load(self, number: int) -> Sample | None:
        """An image with what its data set says of it; None where it is broken.

        Raises:
            InputError: it is smaller than the crop and that is an error, or it was named by itself
                and is broken.
        """
        loaded = self.dataset.load_center(number)
        if loaded.broken and isinstance(self.dataset.place(number)[0], NamedFiles):
            key, reason = next(iter(loaded.broken.items()))
            raise InputError(f"{key}: {reason}")
        self.dataset.report(loaded.broken)
        return loaded.sample

    def batch(self, images: Sequence[tuple[int, Sample]]) -> KnownImages:
        """Images (B, ...) with the values of all conditions, of numbers and what `load` gave."""
        batch = stack([sample for _, sample in images])
        if self._class_numbers is not None and batch.labels is not None:
            batch = replace(batch, labels=self._class_numbers[batch.labels])
        values = {
            kind: value
            for kind, value in self._conditioning.batch_values(batch).items()
            if kind not in self._asked
        }
        turns = torch.tensor([number for number, _ in images])
        values |= {kind: value[turns % len(value)] for kind, value in self._asked.items()}
        return KnownImages(batch.keys, batch.images, values)


def transform_of_run(model: str, small: str | None) -> TransformConfig:
    """How pictures become images: as in the run of a prior, or by default.

    Args:
        model: the run, a pipeline folder or a hub id.
        small: what to do with small pictures instead; None is as in the run.
    """
    trained = read_run(Path(model))
    image = TransformConfig() if trained is None else trained.config.image
    return image if small is None else image.model_copy(update={"small": small})


def _asked_values(pipeline: Pipeline, asked: Asked) -> dict[str, Tensor]:
    """Make values (items, ...) of the conditions that a user gives, by kind."""
    conditions = [one for one in pipeline.conditioning.conditions if one.is_asked]
    given = by_kind(asked, [one.kind for one in conditions])
    return {
        one.kind: one.values(given[one.kind], len(items_of(given[one.kind])))
        for one in conditions
        if one.kind in given
    }


def _sources(specs: Sequence[str], classes: bool, part: str) -> list[ImageSource]:
    """Open the data sets that a user names; single files come last, as one source.

    Raises:
        InputError: one does not exist or lacks maps or classes, or files have no classes.
    """
    different = list(dict.fromkeys(specs))
    files = [spec for spec in different if is_single_file(spec)]
    if files and classes:
        raise InputError(f"{files[0]} is a file of its own and has no class")
    sources = [open_source(spec, classes, part) for spec in different if spec not in files]
    return [*sources, NamedFiles(files)] if files else sources

"""Condition on the class of the image: one token, the class number.

Reference: arXiv:2012.09841, Sec. 4.2 (v), "Class-conditional image synthesis".
"""

import unicodedata
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from smalti.conditions.asked import Items, items_of
from smalti.conditions.base import CONDITIONS, Condition, Setup
from smalti.config import Config, InputError
from smalti.data.dataset import ImageDataset
from smalti.registry import unknown_name
from smalti.types import Batch
from smalti.words import counted, first_names


class ClassLabelConfig(Config):
    """Options of the condition `class`: the names of the classes."""

    kind: Literal["class"] = "class"
    class_names: tuple[str, ...] = Field(min_length=1)
    """Name of each class, by number; no name twice."""

    @field_validator("class_names")
    @classmethod
    def _unique(cls, class_names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(class_names)) < len(class_names):
            twice = next(name for name in class_names if class_names.count(name) > 1)
            raise ValueError(f"two classes are called {twice!r}")
        return class_names


@CONDITIONS.register("class")
class ClassLabel(Condition[ClassLabelConfig]):
    """One token for each image: the number of its class.

    Values and codes are class numbers (B,) int64 in [0, classes).
    """

    kind = "class"
    needs_classes = True
    has_column = False
    has_default = True
    length = 1

    def __str__(self) -> str:
        """The kind and the number of classes, for messages."""
        return f"class, one of {len(self.config.class_names)}"

    @classmethod
    def configure(cls, setup: Setup, dataset: ImageDataset) -> ClassLabelConfig:
        """Take the classes of the data set.

        Raises:
            InputError: it has no classes.
        """
        if not dataset.class_names:
            raise InputError("condition is class, but the data has no classes")
        return ClassLabelConfig(class_names=tuple(dataset.class_names))

    def config_for(self, dataset: ImageDataset) -> ClassLabelConfig:
        """Take the classes of the data set, which give names to classes that had numbers only.

        Raises:
            InputError: the data set has no classes, or not those of the prior.
        """
        known, class_names = self.config.class_names, tuple(dataset.class_names or ())
        if not class_names:
            raise InputError(
                f"the prior knows {counted(len(known), 'class')}, but the data has none"
            )
        has_numbers_only = known == tuple(str(number) for number in range(len(known)))
        # Other numbers may be the same ones counted from 1, or others: that cannot be known.
        are_names = len(class_names) == len(known) and all(
            name == number or not name.isdecimal()
            for name, number in zip(class_names, known, strict=True)
        )
        if class_names != known and not (has_numbers_only and are_names):
            raise InputError(
                f"the data has {counted(len(class_names), 'class')} ({_some(class_names)}), but "
                f"the prior to begin with has {len(known)} ({_some(known)}); they must be the same"
            )
        return ClassLabelConfig(class_names=class_names)

    @property
    def vocab_size(self) -> int:
        """Number of classes, and one more for "any class"."""
        return len(self.config.class_names) + 1

    def batch_values(self, batch: Batch) -> Tensor | None:
        """Class numbers (B,) int64 of the images of a batch."""
        return batch.labels

    def values(self, asked: Items, count: int, size_px: tuple[int, int] | None = None) -> Tensor:
        """Find the numbers (count,) int64 of classes by name or number, taken in turn.

        Raises:
            InputError: there is no such class, or the list is empty.
        """
        if asked is None:
            numbers = list(range(len(self.config.class_names)))
        else:
            numbers = [self.class_number(_name_or_number(item)) for item in items_of(asked)]
        if not numbers:
            raise InputError("the list of classes is empty; name at least one, or leave it out")
        return torch.tensor(numbers)[torch.arange(count) % len(numbers)]

    def class_number(self, name_or_number: str | int) -> int:
        """Find the number of a class by its name, or by its number as an int or in digits.

        A name comes before a number: if the names are 1, 2 and 3, both "1" and 1 are the first
        class, and 0 is none. The number of a class whose name is another number is refused, since
        either could be meant.

        Raises:
            InputError: there is no such class, or its name is another number.
        """
        names, asked = self.config.class_names, str(name_or_number)
        if asked in names:
            return names.index(asked)
        alike = [_composed(name) for name in names]
        if _composed(asked) in alike:
            return alike.index(_composed(asked))
        if all(map(_is_number, names)) or not (
            isinstance(name_or_number, int) or _is_number(asked)
        ):
            raise unknown_name("class", asked, names)
        number = int(name_or_number)
        if not 0 <= number < len(names):
            raise InputError(
                f"class {number} does not exist: this prior has classes 0 to {len(names) - 1}"
            )
        if _is_number(names[number]):
            raise InputError(
                f"class {number} is called {names[number]!r}, which is another number; ask for it "
                "by that name"
            )
        return number

    def tokens(self, codes: Tensor) -> Tensor:
        """Class tokens (B, 1) int64 in [0, classes) of class numbers (B,) int64."""
        return codes.unsqueeze(1)

    def blank(self, count: int) -> Tensor:
        """Class numbers (count,) int64 of the first class."""
        return torch.zeros(count, dtype=torch.int64)

    def details(self) -> Mapping[str, str]:
        """The names of the first classes."""
        return {"classes": first_names(self.config.class_names)}


def _name_or_number(item: object) -> str | int:
    if isinstance(item, str):
        return item
    if isinstance(item, Integral) and not isinstance(item, bool):  # NumPy's integers too
        return int(item)
    raise InputError(f"the condition class is a name or a number, got {item}")


def _composed(name: str) -> str:
    """A name with composed accents; in file names of macOS, accents are separate characters."""
    return unicodedata.normalize("NFC", name)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")

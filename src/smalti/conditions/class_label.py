"""Condition on the class of the image: one token, the class number.

Reference: arXiv:2012.09841, Sec. 4.2 (v), "Class-conditional image synthesis".
"""

import unicodedata
from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from smalti.conditions.base import CONDITIONS
from smalti.config import Config, InputError
from smalti.registry import unknown_name
from smalti.types import Window


class ClassLabelConfig(Config):
    """Config of `ClassLabel`."""

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
class ClassLabel:
    """One token per image: its class, or a last value that stands for "any class".

    Follows the `Conditioner` protocol.
    """

    kind = "class"
    length = 1

    def __init__(self, config: ClassLabelConfig) -> None:
        self.config = config
        self.null = len(config.class_names)
        self.vocab_size = len(config.class_names) + 1

    def class_number(self, name_or_number: str | int) -> int:
        """Number of a class given by its name, or by its number as an int or in digits.

        A name comes before a number: where the names are 1, 2 and 3, both "1" and 1 are the first
        class, and 0 is none. The number of a class that has another number for a name is refused,
        since it cannot be told what is meant.

        Raises:
            InputError: there is no such class, or it has another number for a name.
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

    def labels(self, condition: str | int | Sequence[str | int] | None, count: int) -> Tensor:
        """Class numbers (count,) int64 of `count` images.

        Args:
            condition: a class, by name or number; or several, taken in turn; or None, which takes
                all classes in turn.
            count: number of images.

        Raises:
            InputError: there is no such class, or the list is empty.
        """
        if condition is None:
            numbers = list(range(self.null))
        elif isinstance(condition, str | int):
            numbers = [self.class_number(condition)]
        else:
            numbers = [self.class_number(item) for item in condition]
        if not numbers:
            raise InputError("the list of classes is empty; name at least one, or leave it out")
        return torch.tensor(numbers)[torch.arange(count) % len(numbers)]

    def encode(self, values: Tensor) -> Tensor:
        """The class numbers (B,) int64, as they are."""
        return values

    def at(self, codes: Tensor, window: Window) -> Tensor:
        """The same: a class holds for every part of the image."""
        return codes

    def tokens(self, codes: Tensor) -> Tensor:
        """Class tokens (B, 1) int64 in [0, classes) of class numbers (B,) int64."""
        return codes.unsqueeze(1)

    def null_tokens(self, batch_size: int) -> Tensor:
        """The dropped condition (batch_size, 1) int64: the last value of the vocabulary."""
        return torch.full((batch_size, 1), self.null)


def _composed(name: str) -> str:
    """A name whose accents are no characters of their own, as those of macOS's files are."""
    return unicodedata.normalize("NFC", name)


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()

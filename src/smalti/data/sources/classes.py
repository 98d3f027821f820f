"""Class numbers from what data sets call their classes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from smalti.data.sources.base import same_spelling
from smalti.types import InputError

MAX_CLASSES = 1_000_000
"""A higher class number is taken for a mistake: each class up to it would get a name."""


@dataclass(frozen=True, slots=True)
class ClassTable:
    """The classes of a source and the class of each of its images."""

    names: tuple[str, ...]
    """Name of each class, all different."""
    labels: tuple[int, ...]
    """Class number of each image, in [0, len(names))."""


def classes_from_names(words: Sequence[str]) -> ClassTable:
    """Classes of images whose class is written as a name.

    The different names are the classes, in alphabetical order; in numerical order if all of them
    are numbers, so that the name 7 is class 7 where the names are 0, 1, 2 and so on.
    """
    words = [same_spelling(word) for word in words]
    names = tuple(sorted(set(words), key=int if _all_numbers(words) else None))
    numbers = {name: number for number, name in enumerate(names)}
    return ClassTable(names, tuple(numbers[word] for word in words))


def classes_from_words(words: Sequence[str], where: str) -> ClassTable:
    """Classes of images whose class is written as a number or as a name.

    If all words are numbers they are the class numbers, even if some are missing; else as
    `classes_from_names`.

    Raises:
        InputError: a number is too high.
    """
    if _all_numbers(words):
        return classes_from_numbers([int(word) for word in words], None, where)
    return classes_from_names(words)


def classes_from_numbers(
    labels: Sequence[int | None], names: Sequence[str] | None, where: str
) -> ClassTable:
    """Classes of images that carry class numbers.

    Args:
        labels: number of each image.
        names: name of each class; None names the classes 0 to the highest number by their numbers.
        where: the data set, for messages.

    Raises:
        InputError: an image has no number, or one outside the classes.
    """
    classes = MAX_CLASSES if names is None else len(names)
    checked: list[int] = []
    for position, label in enumerate(labels):
        if label is None or not 0 <= label < classes:
            raise InputError(
                f"image {position} of {where} has class {label}; allowed are 0 to {classes - 1}"
            )
        checked.append(label)
    if names is None:
        names = [str(number) for number in range(max(checked, default=-1) + 1)]
    return ClassTable(distinct_names(names), tuple(checked))


def distinct_names(names: Sequence[str]) -> tuple[str, ...]:
    """`names`, with the number appended to those that occur twice (ImageNet has two cranes)."""
    names = [same_spelling(name) for name in names]
    counts = Counter(names)
    return tuple(
        f"{name} ({number})" if counts[name] > 1 else name for number, name in enumerate(names)
    )


def _all_numbers(words: Sequence[str]) -> bool:
    return all(word.isascii() and word.isdigit() for word in words)

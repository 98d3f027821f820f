"""Class numbers from the names or numbers that data sets give their classes."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from smalti.config import InputError
from smalti.data.sources.base import printable, same_spelling
from smalti.data.sources.texts import is_encodable

MAX_CLASSES = 1_000_000
"""Most classes. A higher class number is taken for a mistake: all classes up to it get names."""
MOST_SHOWN = 40  # characters of a cell in a message


class ClassTable(NamedTuple):
    """The classes of a source and the class of each of its images."""

    names: tuple[str, ...]
    """Name of each class, all different."""
    labels: tuple[int, ...]
    """Class number of each image, in [0, len(names))."""


def classes_from_names(words: Sequence[str]) -> ClassTable:
    """Number the classes of images whose class is written as a name.

    The different names are the classes, in alphabetical order, or in numerical order if all of them
    are numbers, so that the name 7 is class 7 if the names are 0, 1, 2 and so on.
    """
    words = [_class_name(word) for word in words]
    names = tuple(sorted(set(words), key=int if _all_numbers(words) else None))
    numbers = {name: number for number, name in enumerate(names)}
    return ClassTable(names, tuple(numbers[word] for word in words))


def classes_from_words(words: Sequence[str], where: str) -> ClassTable:
    """Number the classes of images whose class is written as a number or as a name.

    If all words are numbers they are the class numbers, even if some are missing; otherwise they
    are numbered as by `classes_from_names`.

    Raises:
        InputError: a number is too high.
    """
    if _all_numbers(words):
        return classes_from_numbers([int(word) for word in words], None, where)
    return classes_from_names(words)


def classes_from_cells(
    cells: Sequence[object], names: Sequence[str] | None, where: str
) -> ClassTable:
    """Number the classes of images whose class is a cell of a table: a number or a name.

    A whole float is a number: tables with gaps, or of other programs, store numbers so. `names` are
    those of the classes by number, if the table has them; `where` names it in messages.

    Raises:
        InputError: a cell is empty, or neither a name nor the whole number of a class; or some
            cells are names and some numbers.
    """
    values = [_class_cell(cell, position, where) for position, cell in enumerate(cells)]
    words = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int)]
    if words and numbers:
        raise InputError(
            f"the classes of {where} are names ({words[0]}) and numbers ({numbers[0]}); write all "
            "in one way"
        )
    return classes_from_numbers(numbers, names, where) if numbers else classes_from_names(words)


def _class_cell(cell: object, position: int, where: str) -> str | int:
    """The class in a cell, as a name or a number."""
    if cell is None or cell != cell or cell == "":  # NaN differs from itself
        raise InputError(
            f"image {position} of {where} has no class; fill the gap, or leave such images out"
        )
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int | float | Decimal) and cell == cell // 1:
        return int(cell)
    shown = str(cell)
    shown = shown if len(shown) <= MOST_SHOWN else f"{shown[:MOST_SHOWN]}..."
    raise InputError(
        f"image {position} of {where} has the class {printable(shown)}; allowed are names and "
        "whole numbers"
    )


def classes_from_numbers(
    labels: Sequence[int], names: Sequence[str] | None, where: str
) -> ClassTable:
    """Name the classes of images that have class numbers.

    Without names the classes are 0 to the highest number, named by their numbers.

    Raises:
        InputError: an image has a number outside the classes.
    """
    classes = MAX_CLASSES if names is None else len(names)
    for position, label in enumerate(labels):
        if not 0 <= label < classes:
            raise InputError(
                f"image {position} of {where} has class {label}; allowed are 0 to {classes - 1}"
            )
    if names is None:
        names = [str(number) for number in range(max(labels, default=-1) + 1)]
    return ClassTable(distinct_names(names), tuple(labels))


def distinct_names(names: Sequence[str]) -> tuple[str, ...]:
    """Append the number to names that occur twice (ImageNet has two cranes)."""
    names = [_class_name(name) for name in names]
    counts = Counter(names)
    distinct = []
    for number, name in enumerate(names):
        is_double = counts[name] > 1
        while is_double and name in counts:
            name = f"{name} ({number})"
        distinct.append(name)
    return tuple(distinct)


def _class_name(word: str) -> str:
    """A class's name in a spelling that can be typed and stored anywhere."""
    return same_spelling(word if is_encodable(word) else printable(word))


def _all_numbers(words: Sequence[str]) -> bool:
    return all(word.isascii() and word.isdigit() for word in words)

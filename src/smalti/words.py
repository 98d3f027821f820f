"""Numbers of things and their names in words, for messages."""

from collections.abc import Sequence

MOST_LISTED = 20  # names in a line


def counted(number: int, noun: str) -> str:
    """A number of things in words: `1 picture`, `2 classes`, `3,000 held-out images`."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def all_are(number: int, noun: str) -> str:
    """The beginning of a sentence about all of several things, or about the only one there is.

    Such as `all 3,000 images are`, or `the only image is`.
    """
    return f"the only {noun} is" if number == 1 else f"all {counted(number, noun)} are"


def first_names(names: Sequence[str]) -> str:
    """The names of classes in a line, the first ones only if there are many."""
    more = ", ..." if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more

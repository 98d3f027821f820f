"""Which images of a data set are checked before training."""

from smalti.data.config import MOST_IMAGES_CHECKED

MAX_HEADERS = MOST_IMAGES_CHECKED
"""Number of images whose headers are read; in a larger data set they lie at even distances."""


def numbers_to_check(length: int) -> range:
    """Numbers of the images to check before training: all, or `MAX_HEADERS` at even distances."""
    return at_even_distances(length, MAX_HEADERS)


def at_even_distances(length: int, most: int) -> range:
    """Positions in a sequence of `length`: all, or at most `most` of them at even distances."""
    return range(0, length, max(1, -(-length // most)))

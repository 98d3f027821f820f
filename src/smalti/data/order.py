"""Which images of a data set are read, and in which order."""

from collections.abc import Sequence

import torch
from torch import Tensor

from smalti.config import InputError
from smalti.data.config import MOST_IMAGES_CHECKED
from smalti.randomness import generator_for


def numbers_to_check(length: int) -> range:
    """Numbers of the images to check before training, at most `MOST_IMAGES_CHECKED`."""
    return at_even_distances(length, MOST_IMAGES_CHECKED)


def positions_of_some(length: int, count: int) -> list[int]:
    """Positions of `count` items of a sequence at even distances, or of all if there are no more.

    The first items would be of few classes, as files are often sorted by class.
    """
    count = min(count, length)
    return [number * length // count for number in range(count)]


def at_even_distances(length: int, most: int) -> range:
    """Positions in a sequence of `length`: all, or at most `most` of them at even distances."""
    return range(0, length, max(1, -(-length // most)))


def order(seed: int, epoch: int, length: int) -> Tensor:
    """Shuffle all sample numbers for an epoch, by (seed, epoch) alone.

    Returns:
        (length,) int64, a permutation of 0 to length - 1.
    """
    return torch.randperm(length, generator=generator_for(seed, epoch))


def weighted_order(
    seed: int, epoch: int, lengths: Sequence[int], weights: Sequence[float]
) -> Tensor:
    """Draw the sample numbers of an epoch, each from a source that is drawn by weight.

    Within a source nothing repeats before all of it was used in that epoch, so an epoch has some
    images of a light source and evenly repeated images of a heavy one. The sample numbers of the
    sources follow each other. The weights are relative probabilities, not negative; that of a
    source without images counts as zero.

    Returns:
        (sum of lengths,) int64 in [0, sum of lengths).

    Raises:
        InputError: no source has both images and weight.
    """
    generator = generator_for(seed, epoch)
    total = sum(lengths)
    sizes = torch.tensor(lengths)
    chances = torch.tensor(weights, dtype=torch.float64) * (sizes > 0)
    if chances.sum() == 0:
        raise InputError("no image is left in any data set of positive weight")
    chosen = torch.multinomial(chances, total, replacement=True, generator=generator)
    result = torch.empty(total, dtype=torch.int64)
    start = 0
    for number, length in enumerate(lengths):
        positions = (chosen == number).nonzero().squeeze(1)
        rounds = -(-len(positions) // length) if length else 0
        shuffled = [torch.randperm(length, generator=generator) for _ in range(rounds)]
        if shuffled:
            result[positions] = start + torch.cat(shuffled)[: len(positions)]
        start += length
    return result

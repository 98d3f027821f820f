"""Exact distances between features and their nearest neighbours, a block at a time.

Two sets of 50,000 images take no more memory than their features and a block of distances.

Axes: Q queries, R references, C features of an image, k neighbours.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

BLOCK_ROWS, BLOCK_COLUMNS = 1024, 4096
ROUNDING = 1e-12
"""Squared distances below this share of the squared lengths count as 0: what remains of the
difference of equal features is of this order, and features are float32."""


class Neighbours(NamedTuple):
    """The nearest references of each query, nearest first."""

    distances: Tensor  # (Q, k) float64 >= 0
    numbers: Tensor  # (Q, k) int64, rows of the references


def nearest(
    queries: Tensor, references: Tensor, neighbours: int, *, skip_same_row: bool = False
) -> Neighbours:
    """The nearest references of each query by Euclidean distance.

    Args:
        queries: features (Q, C) floating point, on a device that has float64.
        references: features (R, C), likewise.
        neighbours: k, at most R; less than R with `skip_same_row`.
        skip_same_row: leave out the reference in the same row as the query, for queries and
            references of one set, where no image is a neighbour of itself.
    """
    assert neighbours <= len(references) - skip_same_row, (neighbours, len(references))
    rows = []
    for row, some in _blocks(queries, BLOCK_ROWS):
        best = Neighbours(some.new_empty(len(some), 0), some.new_empty(len(some), 0).long())
        for column, others in _blocks(references, BLOCK_COLUMNS):
            away = distances(some, others)
            if skip_same_row:
                away.diagonal(row - column).fill_(torch.inf)
            best = _nearest_of(best, away, column, neighbours)
        rows.append(best)
    return Neighbours(*(torch.cat(columns) for columns in zip(*rows, strict=True)))


def is_within(queries: Tensor, references: Tensor, radii: Tensor) -> Tensor:
    """Whether each query lies in the ball around any of the references, (Q,) bool.

    Args:
        queries: features (Q, C) floating point, on a device that has float64.
        references: features (R, C), the centres of the balls.
        radii: (R,) float64.
    """
    rows = []
    for _, some in _blocks(queries, BLOCK_ROWS):
        is_in = torch.zeros(len(some), dtype=torch.bool, device=some.device)
        for column, others in _blocks(references, BLOCK_COLUMNS):
            ends = radii[column : column + len(others)]
            is_in |= (distances(some, others) <= ends).any(1)
        rows.append(is_in)
    return torch.cat(rows)


def distances(queries: Tensor, references: Tensor) -> Tensor:
    """Euclidean distances (Q, R) float64 between features (Q, C) and (R, C) float64."""
    lengths = queries.square().sum(1)[:, None] + references.square().sum(1)  # squared, (Q, R)
    squares = torch.addmm(lengths, queries, references.T, alpha=-2)
    return squares.masked_fill_(squares < ROUNDING * lengths, 0.0).sqrt_()


def _blocks(features: Tensor, size: int) -> Iterator[tuple[int, Tensor]]:
    """First row and float64 features of each block."""
    for start in range(0, len(features), size):
        yield start, features[start : start + size].double()


def _nearest_of(best: Neighbours, away: Tensor, column: int, neighbours: int) -> Neighbours:
    """The nearest of earlier blocks and of a block of distances whose first column is `column`."""
    numbers = torch.arange(column, column + away.shape[1], device=away.device).expand_as(away)
    away, numbers = torch.cat([best.distances, away], 1), torch.cat([best.numbers, numbers], 1)
    away, order = away.topk(min(neighbours, away.shape[1]), largest=False)
    return Neighbours(away, numbers.gather(1, order))

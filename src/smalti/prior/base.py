"""The registry of priors, and the sizes with which each prior is built.

Axes: V vocabulary size, S conditioning length, h/w grid.
"""

from dataclasses import dataclass
from typing import Any

from smalti.registry import Registry

PRIORS: Registry[Any] = Registry("prior")
"""Modules that follow `smalti.types.Prior`; every kind is built as `kind(config, sizes)`."""


@dataclass(frozen=True, slots=True)
class SequenceSizes:
    """Sizes of the sequences of a prior, which follow from tokenizer and conditions."""

    vocab_size: int
    """V, number of values of a token: codes and conditioning together."""
    max_length: int
    """Longest sequence that the prior reads, in tokens: the conditioning and all image tokens but
    the last one. Imported priors may have room for more."""

    def check_length(self, length: int) -> None:
        """Refuse a sequence of so many tokens, with those that are cached, if it is too long.

        Raises:
            ValueError: it is longer than `max_length`.
        """
        if length > self.max_length:
            raise ValueError(f"a sequence of {length} tokens exceeds {self.max_length}")


@dataclass(frozen=True, slots=True)
class MapTokens:
    """Conditioning tokens that are a map of the scene: a grid, line by line."""

    start: int
    """Number of the first of the tokens in the sequence."""
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class GridSizes(SequenceSizes):
    """Sizes of sequences whose image tokens are a grid, for priors that know rows and columns."""

    cond_length: int
    """S, number of conditioning tokens."""
    grid_height: int
    """h, rows of image tokens."""
    grid_width: int
    """w, image tokens of a row."""
    maps: tuple[MapTokens, ...] = ()
    """The conditioning tokens that are maps."""
    order: tuple[int, ...] | None = None
    """Row-major numbers of the grid's cells in the order of the sequence; None is row-major."""

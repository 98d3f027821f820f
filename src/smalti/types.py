"""What the folders say to each other: examples, batches and the protocol of priors.

Axes: B batch, H/W image size in pixels, h/w latent grid, K codebook size, L sequence length,
V vocabulary size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Sample:
    """One example of a data set."""

    key: str
    """Where it came from, for messages: a path, or `archive.tar/member`, or `file.parquet:row`."""
    image: Tensor
    """(3, H, W) float32 in [-1, 1]; of another content than photographs, what that says: (1, H, W)
    float32 of depth maps and edges, (H, W) int64 of label maps."""
    label: int | None
    """Class number, or None where the data set has no classes."""
    conditions: Mapping[str, Tensor] = field(default_factory=dict)
    """Values of the conditions of the image, by kind; docs/tasks.md has their forms in a table."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Several examples, stacked."""

    keys: Sequence[str]
    images: Tensor
    """(B, 3, H, W) float32 in [-1, 1]; (B, 1, H, W) float32 of depth maps and edges, (B, H, W)
    int64 of label maps. See `smalti.content`."""
    labels: Tensor | None
    """(B,) int64, or None where the data set has no classes."""
    conditions: Mapping[str, Tensor] = field(default_factory=dict)
    """(B, ...) of each kind of condition; see `Sample`."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a grid of codes that the prior looks at; all in cells."""

    top: int
    left: int
    height: int
    width: int
    canvas_height: int
    """Rows of the whole grid."""
    canvas_width: int
    """Columns of the whole grid."""


class Prior(Protocol):
    """Model over sequences: each position's logits depend on the tokens up to it only."""

    def logits(self, tokens: Tensor, cache: Any = None, last_only: bool = False) -> Tensor:
        """Logits (B, L, V) of the tokens that follow tokens (B, L) int64.

        With `last_only`, (B, 1, V) of the one that follows them all.

        With a cache, `tokens` are the ones that follow the cached ones, and are added to it.
        """

    def new_cache(self, batch_size: int) -> Any:
        """An empty cache of what the prior keeps of the tokens it has read.

        Its `reset()` empties it again.
        """

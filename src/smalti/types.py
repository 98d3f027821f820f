"""Types that several folders share: samples, batches and the protocol of priors.

Axes: B batch, H/W image size in pixels, h/w latent grid, K codebook size, L sequence length,
V vocabulary size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of a data set."""

    key: str
    """Path of the sample, for messages; also `archive.tar/member` or `file.parquet:row`."""
    image: Tensor
    """A photograph (3, H, W) float32 in [-1, 1], a depth or edge map (1, H, W) float32 or a label
    map (H, W) int64. See `smalti.content`."""
    label: int | None
    """Class number, or None if the data set has no classes."""
    conditions: Mapping[str, Tensor] = field(default_factory=dict)
    """Values of the conditions of the image, by kind; docs/tasks.md has their forms in a table."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Several samples, stacked."""

    keys: Sequence[str]
    images: Tensor
    """Photographs (B, 3, H, W) float32 in [-1, 1], depth or edge maps (B, 1, H, W) float32 or label
    maps (B, H, W) int64. See `smalti.content`."""
    labels: Tensor | None
    """Class numbers (B,) int64, or None if the data set has no classes."""
    conditions: Mapping[str, Tensor] = field(default_factory=dict)
    """Values (B, ...) of each kind of condition; see `Sample`."""


@dataclass(frozen=True, slots=True)
class Window:
    """The rectangle of a grid of codes that the prior reads; all numbers are in cells."""

    top: int
    left: int
    height: int
    width: int
    canvas_height: int
    """Rows of the whole grid."""
    canvas_width: int
    """Columns of the whole grid."""


class Prior(Protocol):
    """Model over sequences whose logits depend on the tokens up to their position only."""

    def logits(self, tokens: Tensor, cache: Any = None, last_only: bool = False) -> Tensor:
        """Logits (B, L, V) of the token that follows each of tokens (B, L) int64.

        With `last_only`, they are the logits (B, 1, V) of the token that follows the last one.
        With a cache, `tokens` follow the cached tokens and are added to the cache.
        """

    def new_cache(self, batch_size: int) -> Any:
        """Make an empty cache of the prior's computations for the tokens it has read.

        Its `reset()` empties it again. `length` is the number of tokens in it. Several tokens at
        once may be read by fewer rows than `batch_size`; after that, `spread(rows)` lets row i hold
        what row rows[i] has read. `reads_together` says whether several tokens after the cached
        ones are computed together. If so, `save()` copies what is in the cache, `restore(saved)`
        goes back to that, and `nbytes` is the size of the cache in bytes. A cache that can forget
        its newest tokens has `rewind(length)`, which leaves the first `length` of them; without it
        a prior cannot sample speculatively.
        """

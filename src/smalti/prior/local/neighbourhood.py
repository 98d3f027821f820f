"""Which tokens may see which in the local prior.

A grid of image tokens has one more column, on the left: each row begins with a token of its own,
at column -1. A token at column c - 1 predicts the code at column c, its target, and its
neighbourhood is that of the target: so many rows above, so many columns on either side.

- A conditioning token without a place, such as a class, is seen by all, and sees those like it.
- A token of a map sees its own row and the rows above it, of its map, in its neighbourhood.
- An image token sees the tokens before it in its neighbourhood, and the maps in its neighbourhood,
  above and below.

No token sees further, so that a row can be computed with those that its neighbourhood holds, and
never changes when the image grows.

Axes: Q queries, K keys.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from smalti.prior.local.config import Reach

GLOBAL, IMAGE = -2, -1


@dataclass(frozen=True, slots=True)
class Tokens:
    """What some tokens are, and where."""

    kind: Tensor
    """(n,) int64: GLOBAL, IMAGE or the number of a map."""
    places: Tensor
    """(n, 2) float32, row and column in cells of the image; anything where GLOBAL."""


def visible(queries: Tokens, keys: Tokens, reach: Reach) -> Tensor:
    """Which of the keys each query sees, (Q, K) bool."""
    of_image = queries.kind == IMAGE
    to_target = of_image[:, None] * torch.tensor([0.0, 1.0], device=of_image.device)
    places = queries.places + to_target
    down, right = (places[:, None] - keys.places).unbind(-1)  # from the key to the query or target
    is_near = (down.abs() <= reach.rows) & (right.abs() <= reach.columns)
    is_before = (down > 0) | (down == 0) & (right > 0)
    is_same_map = (queries.kind[:, None] == keys.kind) & (keys.kind >= 0)
    seen = torch.where(
        of_image[:, None],
        is_near & ((keys.kind >= 0) | (keys.kind == IMAGE) & is_before),
        is_near & is_same_map & (down >= 0),
    )
    return seen & (queries.kind != GLOBAL)[:, None] | (keys.kind == GLOBAL)


def grid_tokens(kind: int, places: Tensor) -> Tokens:
    """The tokens of a grid, or of some of its rows, by their places (..., 2)."""
    places = places.reshape(-1, 2)
    return Tokens(torch.full((len(places),), kind, device=places.device), places)


def global_tokens(count: int) -> Tokens:
    """So many tokens without a place."""
    return Tokens(torch.full((count,), GLOBAL), torch.full((count, 2), torch.nan))


def joined(*tokens: Tokens) -> Tokens:
    """Several tokens, one after the other."""
    return Tokens(
        torch.cat([part.kind for part in tokens]), torch.cat([part.places for part in tokens])
    )

"""The prior's cache, which the batches of one call use in turn."""

from typing import Any

from smalti.types import Prior


class KeptCache:
    """Makes the caches of a prior for batches in turn, and uses one again for as many rows.

    A cache holds the prior's weights as they are laid out for reading single tokens, which takes
    time to make. At most one is held, so that no more memory is needed than for one batch.

    Args:
        prior: the prior, whose weights must stay as they are.
    """

    def __init__(self, prior: Prior) -> None:
        self.prior = prior
        self._rows = 0
        self._cache: Any = None

    def __call__(self, rows: int) -> Any:
        """A cache for so many rows; who has it resets it."""
        if rows != self._rows:
            self._cache = None  # freed before the next one is made
            self._cache = self.prior.new_cache(rows)
            self._rows = rows
        return self._cache

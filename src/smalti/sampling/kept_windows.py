"""The caches of windows to which the drawing comes back in the next row."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from smalti.sampling.window_plan import Run

KEPT_BYTES = 2**30
"""Memory for the caches of windows to which the drawing comes back; the others are read again."""


class KeptWindows:
    """What the prior's cache held of windows to which the drawing comes back in the next row.

    Args:
        runs: all runs, in the order in which they are drawn.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._last_steps = {run.window: run.stop - 1 for run in runs}
        visits = Counter(run.window for run in runs)
        in_row = Counter[int]()
        self._numbers: dict[tuple[int, int], int] = {}  # among the returning ones of the same rows
        for window in (window for window, times in visits.items() if times > 1):
            in_row[window[0]] += 1
            self._numbers[window] = in_row[window[0]]
        self._saved: dict[tuple[int, int], Any] = {}

    def last_step(self, run: Run) -> int:
        """The last step that has the window of a run."""
        return self._last_steps[run.window]

    def take(self, run: Run) -> Any:
        """What was kept of the window of a run, or None."""
        return self._saved.pop(run.window, None)

    def keep(self, run: Run, cache: Any) -> None:
        """Keep what a cache holds of the window of a run, if it comes back and there is room."""
        if run.stop - 1 == self.last_step(run):
            return
        # What is read one by one takes longer than the whole window at once: that is read again.
        if cache.reads_together and self._numbers[run.window] * cache.nbytes <= KEPT_BYTES:
            self._saved[run.window] = cache.save()

"""How far a long call is, and how to end it: the same for Python, the commands and the studio."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from tqdm import tqdm

from smalti.errors import CancelledError


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a long call is."""

    done: int
    """Steps that are done. What a step is, the call says: a code that a batch of images has got, or
    an image that was encoded or scored."""
    total: int
    """All steps of the call."""
    seconds: float
    """Seconds since the call began."""


OnProgress = Callable[[Progress], object]
"""Is called when a call begins and after its steps, in the thread of the call. What it returns is
ignored; an exception that it raises ends the call."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who watches a long call: a bar, a callback, and an event that ends it."""

    bar: bool = False
    """Whether to show a bar."""
    on_progress: OnProgress | None = None
    """Is told how far the call is."""
    cancelled: threading.Event | None = None
    """Ends the call once it is set, by another thread or by `on_progress`."""


class Steps:
    """Counts the steps of a long call, tells of them, and ends the call when it is cancelled.

    It is a context, in which the steps are done.

    Args:
        total: number of all steps.
        unit: what a step is, for the bar.
        watch: who is told.
    """

    def __init__(self, total: int, unit: str, watch: Watch) -> None:
        self._bar = tqdm(total=total, unit=unit, disable=not watch.bar)
        self._watch, self._total, self._done = watch, total, 0
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self.reach(self._done)
        return self

    def __exit__(self, *details: object) -> None:
        self._bar.close()

    def begin_at(self, done: int) -> None:
        """Count steps that an earlier call has done, before the context is entered."""
        self._done = done
        self._bar.update(done)

    def advance(self, steps: int) -> None:
        """Count more steps as done; raises as `reach`."""
        self.reach(self._done + steps)

    def reach(self, done: int) -> None:
        """Set the number of steps that are done, and tell of it.

        Raises:
            CancelledError: the call was cancelled.
        """
        self._bar.update(done - self._done)
        self._done = done
        if self._watch.on_progress is not None:
            seconds = time.monotonic() - self._started
            self._watch.on_progress(Progress(done, self._total, seconds))
        cancelled = self._watch.cancelled
        if cancelled is not None and cancelled.is_set():
            raise CancelledError(f"cancelled after {done} of {self._total} steps")

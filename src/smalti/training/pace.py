"""Measures the speed of a run, and the share of time that it waits for data."""

import contextlib
import time
from collections.abc import Iterator


class Pace:
    """Measures the time between two lines of the log.

    Pauses (evaluations, pictures, saving) do not count. A graphics card computes while the program
    goes on, so waiting for data includes waiting that the card's work hides.
    """

    def __init__(self, images_done: int) -> None:
        self._images_done = images_done
        self._start_lap()

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Context for fetching the next batch."""
        started = time.monotonic()
        yield
        self._waited += time.monotonic() - started

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Context for work other than training."""
        started = time.monotonic()
        yield
        self._paused += time.monotonic() - started

    def lap(self, images_done: int) -> dict[str, float]:
        """Numbers for the log, of the time since the last call.

        `data_wait` is the share of time in [0, 1] spent waiting for data. `images_per_second`
        follows from the images that the run was trained on so far, `images_done`.
        """
        seconds = max(time.monotonic() - self._started - self._paused, 1e-9)
        numbers = {
            "data_wait": round(min(1.0, self._waited / seconds), 4),
            "images_per_second": round((images_done - self._images_done) / seconds, 2),
        }
        self._images_done = images_done
        self._start_lap()
        return numbers

    def _start_lap(self) -> None:
        self._started, self._waited, self._paused = time.monotonic(), 0.0, 0.0

"""Handles Ctrl-C and similar signals: a run finishes its step and saves before it ends."""

import signal
from types import FrameType
from typing import Self

from smalti.training.log import say


class StopSignals:
    """Context that notes SIGINT and SIGTERM; a second signal ends the process at once."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._note)
            except ValueError:  # not the main thread: whoever runs us stops us otherwise
                continue
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.number = number
        say(f"{signal.Signals(number).name}: finishing this step, then saving")

    def __exit__(self, *details: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

"""Handles Ctrl-C and the like: a run finishes its step and saves before it ends."""

import signal
from types import FrameType
from typing import Self

from smalti.cluster import REQUEUE_SIGNAL, STOP_SIGNALS, has_lost_torchrun
from smalti.training.log import say


class StopSignals:
    """Context that notes SIGINT, SIGTERM and SIGUSR1.

    A second SIGINT or SIGTERM ends the process at once. SIGUSR1 never does, nor does it count as
    the first one: a cluster sends it, perhaps twice, and SIGTERM may follow while the run saves.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in STOP_SIGNALS:
            try:
                self._before[number] = signal.signal(number, self._note)
            except ValueError:  # not the main thread: whoever runs us stops us otherwise
                continue
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            if number == REQUEUE_SIGNAL:
                return
            if self.number != REQUEUE_SIGNAL:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
        self.number = number
        say(f"{signal.Signals(number).name}: finishing this step, then saving")

    def asked(self) -> int:
        """Number of the signal that was noted, or 0.

        Without torchrun nothing would end this process: that counts as the SIGTERM which torchrun
        sends where it ends by itself.
        """
        if self.number is None and has_lost_torchrun():
            self.number = signal.SIGTERM
            say("torchrun has ended: saving")
        return self.number or 0

    def __exit__(self, *details: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

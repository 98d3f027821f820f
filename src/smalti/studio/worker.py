"""One thread that owns the models, and the bounded queue of jobs before it.

A job is a function that gets its `Job`, tells through it how far it is, and looks between two
pieces of its work whether it is still wanted.
"""

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from smalti.errors import CancelledError, InputError
from smalti.model_folder import WEIGHTS_FILE, find_model

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_JOBS = 16
"""Jobs that wait or run. Who comes later is told so at once, rather than kept waiting for long."""
MOST_MODELS = 2
"""Models that are kept in memory: those that were used last."""

Listener = Callable[[str, object], None]
"""Is called with each event of a job, by its name and its data, from any thread."""
ENDS = ("done", "failed", "cancelled")
"""The events that end a job; each job has exactly one of them, as its last."""


class QueueFullError(Exception):
    """There are as many jobs as may be."""


class Job:
    """A job, as its function sees it."""

    def __init__(self, work: "Work", listener: Listener) -> None:
        self.cancelled = threading.Event()
        """Is set when nobody wants the result any more."""
        self._work, self._listener = work, listener

    def tell(self, event: str, data: object = None) -> None:
        """Send an event with plain data, such as a picture or how much is done."""
        self._listener(event, data)

    def check(self) -> None:
        """End the job here if nobody wants its result any more; call it between two pieces."""
        if self.cancelled.is_set():
            raise CancelledError("nobody wants the result any more")

    def run(self) -> None:
        """Do the work and tell how it ended; a failure is told and logged, never raised."""
        try:
            self.check()
            self.tell("started")
            result = self._work(self)
            self.tell("done", result)
        except CancelledError:
            self.tell("cancelled")
        except InputError as error:
            self.tell("failed", {"message": str(error)})
        except Exception as error:
            log.exception("a job of the studio failed")
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            self.tell("failed", {"message": f"{reason} (the terminal shows more)"})


Work = Callable[[Job], object]
"""The function of a job; what it returns is the plain data of the event `done`."""


class Models:
    """The models that were used last, loaded anew when their files change, as in training.

    Args:
        device: on which they compute.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._kept: OrderedDict[tuple[object, Path], tuple[int, Any]] = OrderedDict()

    def get(self, path: Path, load: Callable[[Path, torch.device], T]) -> T:
        """The model of a run or folder, by the function that loads it onto a device.

        Raises:
            InputError: there is no model, or it is damaged.
        """
        folder = find_model(path)
        changed = _changed(folder / WEIGHTS_FILE)
        key = (load, path)
        if key not in self._kept or self._kept[key][0] != changed:
            self._kept.pop(key, None)  # first, for two large models may not fit
            self._kept[key] = (changed, load(path, self._device))
        self._kept.move_to_end(key)
        while len(self._kept) > MOST_MODELS:
            self._kept.popitem(last=False)
        found: T = self._kept[key][1]
        return found


def _changed(file: Path) -> int:
    """When a file was written, in nanoseconds."""
    try:
        return file.stat().st_mtime_ns
    except OSError as error:
        raise InputError(f"{file} is missing") from error


class Worker:
    """Runs jobs one after another, in the order in which they came.

    A job is told its place with the event `position` whenever that changes, and that it has begun
    with `started`. `models` may be touched by the functions of jobs only.

    Args:
        device: on which the models compute.
        most_jobs: jobs that may wait or run.
    """

    def __init__(self, device: torch.device, most_jobs: int = MOST_JOBS) -> None:
        self.models = Models(device)
        self._most_jobs = most_jobs
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._is_closed = False
        self._changes = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="studio-worker", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Number of jobs that wait for their turn."""
        return len(self._waiting)

    def submit(self, work: Work, listener: Listener) -> Job:
        """Put a job at the end of the queue.

        Raises:
            QueueFullError: there are as many jobs as may be.
        """
        job = Job(work, listener)
        with self._changes:
            if self.waiting + (self._running is not None) >= self._most_jobs:
                raise QueueFullError
            self._waiting.append(job)
            self._tell_positions()
            self._changes.notify()
        return job

    def cancel(self, job: Job) -> None:
        """Give a job up: a waiting one leaves the queue, a running one ends at its next check."""
        job.cancelled.set()
        with self._changes:
            if job not in self._waiting:
                return
            self._waiting.remove(job)
            self._tell_positions()
        job.tell("cancelled")

    def close(self, seconds: float = 5.0) -> None:
        """Give all jobs up and end the thread, waiting for it so long at most."""
        with self._changes:
            self._is_closed = True
            jobs = [*self._waiting, *([self._running] if self._running else [])]
            self._changes.notify()
        for job in jobs:
            self.cancel(job)
        self._thread.join(seconds)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            job.run()

    def _next(self) -> Job | None:
        with self._changes:
            self._running = None
            self._changes.wait_for(lambda: self._waiting or self._is_closed)
            if self._is_closed:
                return None
            self._running = self._waiting.popleft()
            self._tell_positions()
            return self._running

    def _tell_positions(self) -> None:
        """Tell each waiting job how many come before it, the running one included."""
        for number, job in enumerate(self._waiting):
            job.tell("position", {"ahead": number + (self._running is not None)})

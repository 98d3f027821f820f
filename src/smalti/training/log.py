"""The log of a run: a progress line, `metrics.jsonl`, pictures, and boards that show them."""

import contextlib
import json
import logging
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from PIL import Image
from tqdm import tqdm

from smalti.config import InputError
from smalti.distributed import rank
from smalti.files import atomic_file, disk_errors, json_text
from smalti.training.boards import Boards
from smalti.training.config import Track

log = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"


def resume_command(folder: Path) -> str:
    """The command by which a user goes on with the run in `folder`."""
    return f"smalti resume {shlex.quote(str(folder))}"


def say(text: str) -> None:
    """Print a line for the person at the terminal, above a progress bar if there is one.

    Of several processes only the first one prints.
    """
    if rank() == 0:
        tqdm.write(text, file=sys.stderr)


class RunLog:
    """The log of a run, as a context manager; only process 0 writes and shows anything.

    Lines of `metrics.jsonl` from steps after `start_step` are dropped, since those steps are done
    again.
    """

    def __init__(
        self,
        folder: Path,
        total_steps: int,
        start_step: int,
        batch_size: int,
        track: Track = None,
    ) -> None:
        self._folder = folder
        self._total_steps = total_steps
        self._batch_size = batch_size
        self._is_kept = rank() == 0
        self._boards = Boards()
        if self._is_kept:
            _drop_later_lines(folder / METRICS_FILE, start_step)
            self._boards.begin(folder, start_step, track)
        self._bar = tqdm(
            total=total_steps,
            initial=start_step,
            unit="step",
            dynamic_ncols=True,
            disable=not (self._is_kept and sys.stderr.isatty()),
        )
        self.flags: Sequence[str] = ()
        """A few words for each finding, shown with the progress."""
        self._started, self._start_step = time.monotonic(), start_step

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._bar.close()
        self._boards.each(lambda board: board.close())

    def advance(self) -> None:
        """Count a step as done."""
        self._bar.update()

    def scalars(self, step: int, group: str, values: Mapping[str, float]) -> None:
        """Write one line of numbers of the group "train" or "eval", and show them on the boards."""
        self.line(step, group, values)
        names = {f"{group}/{name}": value for name, value in values.items()}
        self._boards.each(lambda board: board.scalars(step, names))

    def line(self, step: int, group: str, values: Mapping[str, object]) -> None:
        """Write one line of `metrics.jsonl`, of a group that docs/architecture.md lists.

        NaN and infinity become null. A full disk costs the line, not the run.
        """
        if self._is_kept:
            append_line(self._folder, step, group, values)

    def progress(self, step: int, values: Mapping[str, float]) -> None:
        """Show some numbers, the speed and the time left."""
        numbers = [f"{name} {value:.4g}" for name, value in values.items()]
        shown = "  ".join([*numbers, *self.flags])
        if not self._bar.disable:
            self._bar.set_postfix_str(shown, refresh=False)
            return
        seconds = time.monotonic() - self._started
        rate = (step - self._start_step) / max(seconds, 1e-9)
        left = tqdm.format_interval((self._total_steps - step) / rate) if rate else "?"
        say(
            f"step {step}/{self._total_steps}  {shown}  "
            f"{rate * self._batch_size:.1f} images/s  {left} left"
        )

    def picture(self, step: int, name: str, picture: Image.Image) -> None:
        """Save a picture as `samples/NAME_STEP.png`, and show it on the boards.

        A full disk costs the picture, not the run.
        """
        path = self._folder / "samples" / f"{name}_{step:08d}.png"
        with _missed_on_full_disk(path), atomic_file(path) as temporary:
            picture.save(temporary)
        self._boards.each(lambda board: board.picture(step, name, picture))


@contextlib.contextmanager
def _missed_on_full_disk(path: Path) -> Iterator[None]:
    """Context that goes on without a line or picture if the disk is full; checkpoints need more."""
    try:
        with disk_errors(path):
            yield
    except InputError as error:
        log.warning("%s; training goes on without it", error)


def append_line(folder: Path, step: int, group: str, values: Mapping[str, object]) -> None:
    """Add a line to the `metrics.jsonl` of a run; see `RunLog.line`."""
    path = folder / METRICS_FILE
    with _missed_on_full_disk(path), path.open("a", encoding="utf-8") as metrics:
        metrics.write(json_text({"step": step, "group": group, **values}) + "\n")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Read the lines of a run's `metrics.jsonl`; a last line cut short by a crash is left out.

    A number that was NaN or infinite is None, also in files of older versions, which wrote it as it
    was.
    """
    path = folder / METRICS_FILE
    lines: list[dict[str, Any]] = []
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            lines.append(json.loads(text, parse_constant=lambda _name: None))
        except ValueError:
            continue
    return lines


def _drop_later_lines(path: Path, step: int) -> None:
    kept = [line for line in read_metrics(path.parent) if line["step"] <= step]
    with atomic_file(path) as temporary:
        temporary.write_text("".join(json_text(line) + "\n" for line in kept), encoding="utf-8")

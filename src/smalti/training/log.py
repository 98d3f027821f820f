"""What a run tells: a progress line, `metrics.jsonl`, TensorBoard where installed, pictures."""

import json
import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from PIL import Image
from tqdm import tqdm

from smalti.files import atomic_file

log = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"


def say(text: str) -> None:
    """Print a line for the person at the terminal, above a progress bar if there is one."""
    tqdm.write(text, file=sys.stderr)


class RunLog:
    """The log of one run; a context manager.

    Args:
        folder: the run folder.
        total_steps: steps of the whole run.
        start_step: steps done before; lines of `metrics.jsonl` from later steps are dropped, since
            those steps are now done again.
        batch_size: images in a step, for the speed.
    """

    def __init__(self, folder: Path, total_steps: int, start_step: int, batch_size: int) -> None:
        self._folder = folder
        self._total_steps = total_steps
        self._batch_size = batch_size
        _drop_later_lines(folder / METRICS_FILE, start_step)
        self._metrics = (folder / METRICS_FILE).open("a")
        self._board = _tensorboard(folder / "tb", start_step)
        self._bar = tqdm(
            total=total_steps,
            initial=start_step,
            unit="step",
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
        )
        self._started, self._start_step = time.monotonic(), start_step

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        self._metrics.close()
        if self._board is not None:
            self._board.close()

    def advance(self) -> None:
        """One step is done."""
        self._bar.update()

    def scalars(self, step: int, group: str, values: Mapping[str, float]) -> None:
        """Write one line of numbers.

        Args:
            step: steps done.
            group: "train" or "eval".
            values: numbers by name.
        """
        line = {"step": step, "group": group, **values}
        self._metrics.write(json.dumps(line) + "\n")
        self._metrics.flush()
        self._to_board(step, {f"{group}/{name}": value for name, value in values.items()})

    def progress(self, step: int, values: Mapping[str, float]) -> None:
        """Show the most telling numbers, the speed and the time left."""
        shown = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
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
        """Keep a picture as `samples/NAME_STEP.png`."""
        with atomic_file(self._folder / "samples" / f"{name}_{step:08d}.png") as path:
            picture.save(path)

    def _to_board(self, step: int, values: Mapping[str, float]) -> None:
        """A tracker that fails must not end the training: one warning, then without it."""
        if self._board is None:
            return
        try:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)
        except Exception as error:
            log.warning("TensorBoard failed (%s); going on without it", error)
            self._board = None


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's `metrics.jsonl`; a last line cut short by a crash is left out."""
    path = folder / METRICS_FILE
    lines: list[dict[str, Any]] = []
    for text in path.read_text().splitlines() if path.is_file() else ():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines


def _drop_later_lines(path: Path, step: int) -> None:
    kept = [line for line in read_metrics(path.parent) if line["step"] <= step]
    with atomic_file(path) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))


def _tensorboard(folder: Path, start_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=start_step + 1)

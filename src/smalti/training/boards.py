"""Boards that show a run beside its folder: TensorBoard, and trackio or W&B on request."""

import contextlib
import hashlib
import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml
from PIL import Image

from smalti.config import InputError
from smalti.training.config import RUN_CONFIG_FILE, Track

log = logging.getLogger(__name__)

PROJECT = "smalti"
REMOTE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")
"""Environment variables by which trackio sends a run elsewhere."""


class Board(Protocol):
    """A program or file that shows a run."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add numbers by name."""

    def picture(self, step: int, name: str, picture: Image.Image) -> None:
        """Add an RGB picture."""

    def close(self) -> None:
        """Write what is left."""


class Boards:
    """The boards of a run. One that fails is left out from then on, with one warning."""

    def __init__(self) -> None:
        self._boards: dict[str, Board] = {}

    def begin(self, folder: Path, start_step: int, track: Track) -> None:
        """Open TensorBoard, if it is installed, and a tracker for the run in a folder.

        TensorBoard drops what it has of steps after `start_step`, which are done again.
        """
        with self._left_out_on_failure("TensorBoard"), contextlib.suppress(ImportError):
            self._boards["TensorBoard"] = _TensorBoard(folder, start_step)
        if track is not None:
            with self._left_out_on_failure(track):
                self._boards[track] = _Tracker(track, folder)

    def each(self, show: Callable[[Board], None]) -> None:
        """Call a function with each board."""
        for name, board in list(self._boards.items()):
            with self._left_out_on_failure(name):
                show(board)

    @contextlib.contextmanager
    def _left_out_on_failure(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            log.warning("%s failed (%s); going on without it", name, error)
            self._boards.pop(name, None)


def check_track(track: Track) -> None:
    """Refuse a tracker that is not installed, or that would send a run away unasked.

    Raises:
        InputError: it is refused; the message tells what to do.
    """
    if track is None:
        return
    if importlib.util.find_spec(track) is None:
        raise InputError(f"training.track {track} needs the package: pip install {track}")
    remote = next((name for name in REMOTE if os.environ.get(name)), None)
    if track == "trackio" and remote:
        raise InputError(
            f"training.track trackio keeps runs on this machine, but {remote} is set, by which "
            "they would be sent away; unset it, and use `trackio sync` afterwards if you want"
        )


class _TensorBoard:
    """Event files in the run's folder.

    Raises:
        ImportError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, start_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tb"), purge_step=start_step + 1)
        # Indented, it is code in Markdown.
        config = "".join(f"    {line}\n" for line in _config(folder).splitlines())
        self._writer.add_text("config", config)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def picture(self, step: int, name: str, picture: Image.Image) -> None:
        pixels = np.asarray(picture.convert("RGB"))
        self._writer.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


class _Tracker:
    """A run in trackio or W&B, never in public.

    trackio keeps it on this machine. W&B writes it into the run's folder, from where `wandb sync`
    sends it, unless the environment variable WANDB_MODE says otherwise.

    The same folder is the same run.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        identity = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
        common = {
            "project": PROJECT,
            "name": f"{folder.resolve().name}-{identity[:6]}",
            "config": yaml.safe_load(_config(folder)),
            "resume": "allow",
        }
        self._module: Any
        if kind == "wandb":
            import wandb

            self._module = wandb
            settings = wandb.Settings(silent=True, console="off", save_code=False)
            mode = os.environ.get("WANDB_MODE", "offline")
            own = {"id": identity, "dir": str(folder), "mode": mode, "settings": settings}
        else:
            import trackio

            self._module = trackio
            # No measurements of the machine, no page that opens by itself.
            own = {"private": True, "embed": False, "auto_log_gpu": False, "auto_log_cpu": False}
        self._run = self._module.init(**common, **own)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def picture(self, step: int, name: str, picture: Image.Image) -> None:
        self._run.log({name: self._module.Image(picture.convert("RGB"))}, step=step)

    def close(self) -> None:
        self._run.finish()


def _config(folder: Path) -> str:
    """The config in the folder of a run, as YAML; empty without one."""
    path = folder / RUN_CONFIG_FILE
    return path.read_text(encoding="utf-8") if path.is_file() else ""

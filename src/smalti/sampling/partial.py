"""Stores partly drawn codes on disk, so that a long generation that was stopped can go on.

Axes: n images, H/W grid of codes.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from smalti.config import InputError
from smalti.files import atomic_file
from smalti.model_folder import read_tensors, write_tensors
from smalti.prior.gpt.config import as_former_file
from smalti.progress import Steps
from smalti.sampling.canvas import Canvas
from smalti.sampling.config import SamplingConfig
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.progress import CellCount
from smalti.sampling.request import Request
from smalti.weights import tensors_hash

SAVE_SECONDS = 60.0
"""Seconds between two savings of a long generation."""


class PartialCodes:
    """The codes of a generation so far, and how many of its cells are done.

    Args:
        path: file to store them in, or None for memory only. Codes in the file are continued if its
            `made_from` is the same.
        codes: (n, H, W) int64, changed in place as codes are drawn.
        made_from: hash of all that decides the codes.
        steps: steps of the generation, a cell of a batch each.

    Attributes:
        done: cells drawn, over all batches of images one after the other.

    Raises:
        InputError: the file is damaged.
    """

    def __init__(self, path: Path | None, codes: Tensor, made_from: str, steps: Steps) -> None:
        self.path, self.codes, self.made_from, self.steps = path, codes, made_from, steps
        self.done = 0
        self._saved_at = time.monotonic()
        self._load()
        steps.begin_at(self.done)

    def _load(self) -> None:
        if self.path is None or not self.path.is_file():
            return
        stored = read_tensors(self.path)
        if bytes(stored["made_from"].tolist()).decode() != self.made_from:
            return
        if stored["codes"].shape != self.codes.shape:
            raise InputError(f"{self.path} is damaged; delete it to begin anew")
        self.codes.copy_(stored["codes"])
        self.done = int(stored["done"])

    def of_batch(self, before: int, cells: int) -> CellCount:
        """Make the count of a batch of `cells` cells that follows `before` cells of other batches.

        The count of all batches follows it.
        """
        done = min(max(self.done - before, 0), cells)
        return CellCount(done, lambda done: self.advance(before + done))

    def advance(self, done: int) -> None:
        """Set the number of cells that are done, tell of it, and save from time to time.

        Raises:
            CancelledError: the generation was cancelled.
        """
        self.done = done
        self.steps.reach(done)
        if time.monotonic() - self._saved_at > SAVE_SECONDS:
            self.save()

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Context that writes the file when the work inside ends, is stopped or fails.

        After an InputError the file is deleted: codes of a damaged prior must not be continued.
        """
        try:
            with self.steps:
                yield
        except InputError:
            if self.path is not None:
                self.path.unlink(missing_ok=True)
            raise
        except BaseException:
            self.save()
            raise
        self.save()

    def save(self) -> None:
        """Write the file.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        self._saved_at = time.monotonic()
        if self.path is not None:
            stored = {
                "codes": self.codes.cpu(),
                "done": torch.tensor(self.done),
                "made_from": torch.tensor(list(self.made_from.encode()), dtype=torch.uint8),
            }
            with atomic_file(self.path) as temporary:
                write_tensors(temporary, stored)


def fingerprint(
    prior: nn.Module,
    model: PriorModelConfig,
    request: Request,
    canvas: Canvas,
    config: SamplingConfig,
    seed: int,
    batch_size: int,
) -> str:
    """A hash of all that decides the codes of a generation."""
    sampling = config.settings()
    stride = sampling.pop("stride")
    described = model.model_dump(mode="json")
    described["prior"] = as_former_file(described["prior"])  # what was begun before goes on
    settings = {
        "config": described,
        "sampling": sampling,
        "choices": {"seed": seed, "batch_size": batch_size, "stride": stride},
        "size": [request.n, request.height, request.width],
    }
    known = torch.where(canvas.known, canvas.codes, -1)
    tensors = {**prior.state_dict(), **request.values, "known codes": known}
    return tensors_hash(tensors, json.dumps(settings, sort_keys=True, default=str))

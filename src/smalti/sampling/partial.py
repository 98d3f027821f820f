"""Codes that are half drawn, on disk: a long generation that was stopped goes on.

Axes: n images, H/W grid of codes.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from smalti.config import InputError
from smalti.files import atomic_file
from smalti.model_folder import read_tensors, write_tensors
from smalti.weights import tensors_hash

SAVE_SECONDS = 60.0
"""So often a long generation is written down."""


@dataclass(slots=True)
class PartialCodes:
    """What was drawn so far.

    Args:
        path: file to keep it in, or None to keep it in memory only.
        codes: (n, H, W) int64, changed in place as codes are drawn.
        made_from: hash of all that decides the codes.
    """

    path: Path | None
    codes: Tensor
    made_from: str
    done: int = 0
    """Cells drawn, over all batches of images one after the other."""
    saved_at: float = 0.0
    """When it was last written, by the monotonic clock."""

    def load(self) -> None:
        """Take up what the file holds, if it was made from the same.

        Raises:
            InputError: the file is damaged.
        """
        self.saved_at = time.monotonic()
        if self.path is None or not self.path.is_file():
            return
        stored = read_tensors(self.path)
        if bytes(stored["made_from"].tolist()).decode() != self.made_from:
            return
        if stored["codes"].shape != self.codes.shape:
            raise InputError(f"{self.path} is damaged; delete it to begin anew")
        self.codes.copy_(stored["codes"])
        self.done = int(stored["done"])

    def advance(self, done: int) -> None:
        """Note that so many cells are done, and write them down from time to time."""
        self.done = done
        if time.monotonic() - self.saved_at > SAVE_SECONDS:
            self.save()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Write the file when the work inside ends, is stopped or fails.

        Not where its input is at fault: going on from the codes of a damaged prior would hide that
        it is.
        """
        try:
            yield
        except InputError:
            self.discard()
            raise
        except BaseException:
            self.save()
            raise
        self.save()

    def discard(self) -> None:
        """Delete the file, if there is one."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def save(self) -> None:
        """Write the file.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        self.saved_at = time.monotonic()
        if self.path is not None:
            stored = {
                "codes": self.codes.cpu(),
                "done": torch.tensor(self.done),
                "made_from": torch.tensor(list(self.made_from.encode()), dtype=torch.uint8),
            }
            with atomic_file(self.path) as temporary:
                write_tensors(temporary, stored)


def fingerprint(
    prior: nn.Module, values: Mapping[str, Tensor], settings: Mapping[str, object]
) -> str:
    """A hash over the prior's weights, the conditions' values and everything else that decides."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return tensors_hash({**prior.state_dict(), **values}, text)

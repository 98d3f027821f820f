"""What was computed of each image of a long evaluation, in memory and on disk, by image number.

Axes: N images, C numbers of an image.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from smalti.config import InputError
from smalti.distributed import gather_batch, largest, rank, together, world_size
from smalti.files import atomic_file
from smalti.model_folder import read_tensors, write_tensors

NUMBERS = "numbers"
SAVE_SECONDS = 60.0
"""So often a long evaluation is written down."""


class KeptRows:
    """Tensors of images by image number; those in the folder are taken up again.

    Each save writes a file of what is new, so several processes may keep rows in one folder.

    Args:
        name: of the rows, first part of their files' names.
        empty: tensors (0, C) of the right width and dtype, by name.
        folder: where they are kept; None keeps them in memory only.

    Raises:
        InputError: a file is damaged.
    """

    def __init__(self, name: str, empty: Mapping[str, Tensor], folder: Path | None = None) -> None:
        self.name, self._empty, self._folder = name, dict(empty), folder
        self._rows: dict[int, dict[str, Tensor]] = {}
        self._unsaved: list[int] = []
        self._saved_at = time.monotonic()
        for path in sorted(folder.glob(f"{name}-*.safetensors")) if folder else ():
            self._take(read_tensors(path), str(path))

    def __contains__(self, number: int) -> bool:
        return number in self._rows

    def take(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """Take rows of a file, in which the names of the tensors begin with that of the rows.

        Raises:
            InputError: they are of another form.
        """
        start = f"{self.name}."
        own = {key.removeprefix(start): t for key, t in tensors.items() if key.startswith(start)}
        self._take(own, source)

    def _take(self, tensors: Mapping[str, Tensor], source: str) -> None:
        shapes = {name: tensor.shape[1:] for name, tensor in tensors.items() if name != NUMBERS}
        wanted = {name: tensor.shape[1:] for name, tensor in self._empty.items()}
        if shapes != wanted or NUMBERS not in tensors:
            raise InputError(f"{source} is damaged, or of another version of smalti")
        self._note(tensors[NUMBERS].tolist(), tensors)

    def _note(self, numbers: Sequence[int], tensors: Mapping[str, Tensor]) -> None:
        for row, number in enumerate(numbers):
            self._rows[number] = {name: tensors[name][row] for name in self._empty}

    def add(self, numbers: Sequence[int], tensors: Mapping[str, Tensor]) -> None:
        """Add rows, and write them down from time to time.

        Args:
            numbers: of the images.
            tensors: (N, C) by name, on the CPU.
        """
        self._note(numbers, tensors)
        self._unsaved += numbers
        if time.monotonic() - self._saved_at > SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Write what is not on disk yet into a file of its own.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        self._saved_at = time.monotonic()
        if self._folder is None or not self._unsaved:
            return
        path = (
            self._folder / f"{self.name}-{self._unsaved[0]:08}-{secrets.token_hex(4)}.safetensors"
        )
        stored = {NUMBERS: torch.tensor(self._unsaved), **self.tensors(self._unsaved)}
        with atomic_file(path) as temporary:
            write_tensors(temporary, stored)
        self._unsaved = []

    def tensors(self, numbers: Sequence[int]) -> dict[str, Tensor]:
        """Rows (N, C) of the images, by name, in the order of the numbers."""
        return {
            name: torch.stack([self._rows[number][name] for number in numbers])
            if numbers
            else empty
            for name, empty in self._empty.items()
        }


def for_file(name: str, numbers: Sequence[int], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rows of images for a file, as `KeptRows.take` reads them.

    Args:
        name: of the rows.
        numbers: of the images.
        tensors: (N, C) by name.
    """
    stored = {NUMBERS: torch.tensor(numbers, dtype=torch.int64), **tensors}
    return {f"{name}.{key}": tensor.contiguous() for key, tensor in stored.items()}


Compute = Callable[[Sequence[int]], Mapping[str, Tensor]]
"""Rows (N, C) by name, on the CPU, of the images of some numbers."""


def fill(rows: KeptRows, numbers: range, batch_size: int, compute: Compute) -> dict[str, Tensor]:
    """Compute the rows that are missing, each process its share, with a progress bar.

    Args:
        rows: what is there already; filled with this process's share.
        numbers: of all the images.
        batch_size: images at a time.
        compute: called with at most `batch_size` numbers.

    Returns:
        The rows of all images, in order, by name; the same in each process.

    Raises:
        InputError: of `compute`, on all processes.
    """
    starts = range(0, len(numbers), batch_size)[rank() :: world_size()]
    batches = [numbers[start : start + batch_size] for start in starts]
    own = [number for batch in batches for number in batch]
    missing = [[number for number in batch if number not in rows] for batch in batches]
    done = len(own) - sum(map(len, missing))
    bar = tqdm(
        total=len(own),
        initial=done,
        desc=rows.name,
        unit="image",
        disable=None if rank() == 0 else True,
    )
    with together(), bar:
        try:
            for batch in filter(None, missing):
                rows.add(batch, compute(batch))
                bar.update(len(batch))
        finally:
            rows.save()
    tensors = rows.tensors(own)
    if world_size() == 1:
        return tensors
    return {name: in_order(torch.tensor(own, dtype=torch.int64), t) for name, t in tensors.items()}


def in_order(numbers: Tensor, features: Tensor) -> Tensor:
    """Gather the features of the samples of all processes, the same in each process.

    Args:
        numbers: (N,) int64 >= 0, numbers of this process's samples in any order; no two processes
            have the same.
        features: (N, C) float32 of these samples, on the CPU.

    Returns:
        (sum of N, C) float32, by ascending number.
    """
    missing = largest(len(numbers)) - len(numbers)  # processes exchange equal shapes
    padding = torch.full((missing,), -1), features.new_zeros(missing, features.shape[1])
    numbers = gather_batch(torch.cat([numbers, padding[0]]))
    features = gather_batch(torch.cat([features, padding[1]]))
    return features[numbers.argsort()[(numbers < 0).sum() :]]

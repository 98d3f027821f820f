"""Reads rows of shards of codes from mapped files.

Axes: B rows, N rows of a shard, h/w grid of codes.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from torch import Tensor

from smalti.codes.manifest import MANIFEST_FILE, Manifest, ShardRecord, read_manifest
from smalti.codes.order import Row
from smalti.codes.shard_files import LABELS
from smalti.config import InputError
from smalti.files import sha256

MOST_OPEN = 256
"""Files that are open at a time."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a folder of codes."""

    codes: Tensor
    """Codes (B, h, w) int64 in [0, K), of one view of each row."""
    labels: Tensor | None
    """Class numbers (B,) int64, or None without classes."""


class CodeShards:
    """The codes of a folder, of which a row is read when it is needed.

    The hash of a shard is compared when its first row is read in this process. Memory and the time
    to begin grow with the number of shards by the manifest alone.

    Args:
        folder: what `smalti encode --data` made.

    Raises:
        InputError: it is no such folder, is not finished, or its shards are no safetensors files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: Manifest = read_manifest(folder)
        self.fingerprint = sha256(folder / MANIFEST_FILE)
        """Hash that changes when the codes do."""
        encoding = self.manifest.encoding
        if encoding.file_format != "safetensors":
            raise InputError(
                f"{folder} holds {encoding.file_format}, but training reads safetensors; encode "
                "the data with --format safetensors"
            )
        self._is_checked = np.zeros(len(self.manifest.shards), np.bool_)
        self._open: OrderedDict[int, Any] = OrderedDict()

    def __str__(self) -> str:
        shards = self.manifest.shards
        return f"{self.manifest.images:,} images in {len(shards):,} shards of {self.folder}"

    @property
    def sizes(self) -> list[int]:
        """Number of rows of each shard."""
        return [shard.images for shard in self.manifest.shards]

    def name(self, row: Row) -> str:
        """Name of a row, for messages."""
        return f"{self.manifest.shards[row.shard].file}:{row.number}"

    def rows(self, rows: Sequence[Row], views: Sequence[int]) -> Rows:
        """Read one view of each of some rows; `views` are numbers in [0, number of views).

        Raises:
            InputError: a shard is missing, cut short or damaged.
        """
        columns = [self.manifest.encoding.views[view].column for view in views]
        files = [self._file(row.shard) for row in rows]
        codes = [
            file.get_slice(column)[row.number : row.number + 1]
            for file, row, column in zip(files, rows, columns, strict=True)
        ]
        labels = None
        if self.manifest.encoding.classes is not None:
            numbers = [
                file.get_slice(LABELS)[row.number : row.number + 1]
                for file, row in zip(files, rows, strict=True)
            ]
            labels = torch.from_numpy(np.concatenate(numbers).astype(np.int64))
        return Rows(torch.from_numpy(np.concatenate(codes).astype(np.int64)), labels)

    def _file(self, number: int) -> Any:
        """The open file of a shard; one that was not used for long is closed."""
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        record = self.manifest.shards[number]
        path = self.folder / record.file
        if not self._is_checked[number]:
            self._check(path, record)
            self._is_checked[number] = True
        try:
            self._open[number] = safetensors.safe_open(path, "np")
        except (OSError, safetensors.SafetensorError) as error:
            raise InputError(f"{path} is damaged or cut short") from error
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        return self._open[number]

    def _check(self, path: Path, record: ShardRecord) -> None:
        if record.tokenizer != self.manifest.encoding.tokenizer:
            raise InputError(f"{path} was made by another model than the other codes beside it")
        if not path.is_file():
            raise InputError(f"{path} is missing; encode again into {self.folder}")
        size = path.stat().st_size
        if size != record.bytes:
            raise InputError(
                f"{path} is cut short: it has {size:,} bytes of {record.bytes:,}; encode again "
                f"into {self.folder}"
            )
        if sha256(path) != record.sha256:
            raise InputError(f"{path} is damaged; delete it and encode again into {self.folder}")

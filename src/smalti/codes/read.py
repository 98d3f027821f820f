"""Reads rows of shards of codes from mapped files.

Axes: B rows, N rows of a shard, h/w grid of codes.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from torch import Tensor

from smalti.codes.manifest import Manifest, read_manifest
from smalti.codes.order import Row
from smalti.codes.shard_files import KEY_ENDS, KEYS, LABELS, split_keys
from smalti.config import InputError
from smalti.files import sha256
from smalti.shard_folder import MANIFEST_FILE
from smalti.words import counted

MOST_OPEN = 256
"""Files that are open at a time."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a folder of codes."""

    codes: Tensor
    """Codes (B, h, w) int64 in [0, K), of one view of each row."""
    labels: Tensor | None
    """Class numbers (B,) int64, or None without classes."""
    conditions: Mapping[str, Tensor]
    """Codes (B, ...) int64 or float32 of the conditions that were asked for, in the same views."""


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
                f"{folder} holds {encoding.file_format}, but rows are read from safetensors; "
                f"smalti encode --codes {folder} --out NEW writes them"
            )
        self._is_checked = np.zeros(len(self.manifest.shards), np.bool_)
        self._open: OrderedDict[int, Any] = OrderedDict()

    def __str__(self) -> str:
        images, shards = self.manifest.images, len(self.manifest.shards)
        return f"{counted(images, 'image')} in {counted(shards, 'shard')} of {self.folder}"

    @property
    def sizes(self) -> list[int]:
        """Number of rows of each shard."""
        return [shard.images for shard in self.manifest.shards]

    def name(self, row: Row) -> str:
        """Name of a row, for messages."""
        return f"{self.manifest.shards[row.shard].file}:{row.number}"

    def key(self, row: Row) -> str:
        """Name of the image of a row in its data set.

        Raises:
            InputError: as `rows`.
        """
        file = self._file(row.shard)
        ends = file.get_slice(KEY_ENDS)[max(row.number - 1, 0) : row.number + 1]
        start = int(ends[0]) if row.number else 0
        return bytes(file.get_slice(KEYS)[start : int(ends[-1])]).decode()

    def keys(self, shard: int) -> list[str]:
        """Names of the images of all rows of a shard in their data set.

        Raises:
            InputError: as `rows`.
        """
        file = self._file(shard)
        return split_keys(file.get_tensor(KEYS), file.get_tensor(KEY_ENDS))

    def __getstate__(self) -> dict[str, Any]:
        """What a worker process gets: the open files stay here."""
        return self.__dict__ | {"_open": OrderedDict()}

    def rows(self, rows: Sequence[Row], views: Sequence[int], kinds: Sequence[str] = ()) -> Rows:
        """Read one view of each of some rows.

        Args:
            rows: the rows.
            views: the view of each, in [0, number of views).
            kinds: conditions to read, of `encoding.conditions`.

        Raises:
            InputError: a shard is missing, cut short or damaged.
        """
        encoding = self.manifest.encoding
        of_rows = [encoding.views[view] for view in views]
        labels = None
        if encoding.classes is not None:
            labels = self._column(rows, [LABELS] * len(rows))
        return Rows(
            codes=self._column(rows, [view.column for view in of_rows]),
            labels=labels,
            conditions={
                kind: self._column(rows, [view.column_of(kind) for view in of_rows])
                for kind in kinds
            },
        )

    def _column(self, rows: Sequence[Row], columns: Sequence[str]) -> Tensor:
        """One column of each row, as one tensor; whole numbers become int64."""
        found = np.concatenate(
            [
                self._file(row.shard).get_slice(column)[row.number : row.number + 1]
                for row, column in zip(rows, columns, strict=True)
            ]
        )
        is_whole = np.issubdtype(found.dtype, np.integer)
        return torch.from_numpy(found.astype(np.int64) if is_whole else found)

    def _file(self, number: int) -> Any:
        """The open file of a shard; one that was not used for long is closed."""
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        path = self.folder / self.manifest.shards[number].file
        if not self._is_checked[number]:
            check_shard(self.folder, self.manifest, number)
            self._is_checked[number] = True
        try:
            self._open[number] = safetensors.safe_open(path, "np")
        except (OSError, safetensors.SafetensorError) as error:
            raise InputError(f"{path} is damaged or cut short") from error
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        return self._open[number]


def check_shard(folder: Path, manifest: Manifest, number: int) -> None:
    """Compare a shard with its record: the model, the size and the hash of the file.

    Raises:
        InputError: it is missing, cut short or damaged, or was made by another model.
    """
    record = manifest.shards[number]
    path = folder / record.file
    again = f"encode again into {folder}"
    if manifest.encoding.data is not None:
        again = "start the run again, which encodes it anew"
    if record.tokenizer != manifest.encoding.tokenizer:
        raise InputError(f"{path} was made by another model than the other codes beside it")
    if not path.is_file():
        raise InputError(f"{path} is missing; {again}")
    size = path.stat().st_size
    if size != record.bytes:
        raise InputError(f"{path} is cut short: it has {size:,} bytes of {record.bytes:,}; {again}")
    if sha256(path) != record.sha256:
        raise InputError(f"{path} is damaged; delete it and {again}")

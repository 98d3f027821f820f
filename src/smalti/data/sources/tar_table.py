"""Places, names and classes of the images in tars, as arrays that may lie in a mapped file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smalti.data.sources.base import name_bytes


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts, one behind the other."""

    ends: NDArray[np.int64]
    """Where each text ends (N,) among the bytes."""
    content: NDArray[np.uint8]
    """The bytes of all texts in UTF-8."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Texts":
        """Put texts into arrays."""
        parts = [name_bytes(text) for text in texts]
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        return cls(ends, np.frombuffer(b"".join(parts), np.uint8))

    @classmethod
    def joined(cls, several: Sequence["Texts"]) -> "Texts":
        """The texts of several, in a row."""
        shifts = np.cumsum([0, *(len(one.content) for one in several)])
        ends = [one.ends + shift for one, shift in zip(several, shifts, strict=False)]
        return cls(np.concatenate(ends), np.concatenate([one.content for one in several]))

    def __getitem__(self, index: int) -> str:
        content = self.content[self._start(index) : self.ends[index]]
        return content.tobytes().decode("utf-8", "surrogateescape")

    def cut(self, first: int, end: int) -> "Texts":
        """The texts from one number to another."""
        start = self._start(first)
        stop = self.ends[end - 1] if end > first else start
        return Texts(self.ends[first:end] - start, self.content[start:stop])

    def is_sound(self, count: int) -> bool:
        """Whether these are so many texts."""
        last = self.ends[-1] if count else 0
        return self.ends.shape == (count,) and self.content.shape == (last,)

    def _start(self, index: int) -> int:
        return int(self.ends[index - 1]) if index else 0


class Tar(NamedTuple):
    """A tar, and what of it is not read."""

    name: str
    """Name of the file in its folder."""
    state: str
    """Size and time of change of the file when it was read, or its version elsewhere."""
    without_image: int = 0
    """Number of examples without an image."""
    beside: Sequence[str] = ()
    """Names of pictures that belong to the picture of an example, such as its map."""
    further: Sequence[str] = ()
    """Names of further pictures of an example, which already has one."""
    others: Mapping[str, int] = {}
    """Number of members that are neither images nor about one, by their ending."""
    is_damaged: bool = False
    """Whether it is read up to a damage only."""
    has_folders: bool = False
    """Whether some images lie in folders inside of it."""


@dataclass(frozen=True, slots=True)
class TarTable:
    """The images, and the poses, of some tars, in the order of the tars and their members."""

    tars: Sequence[Tar]
    starts: NDArray[np.int64]
    """Row of each tar's first image (T + 1,), and at the end the number of rows."""
    offsets: NDArray[np.int64]
    """Where in its tar each image begins (N,), in bytes."""
    sizes: NDArray[np.int64]
    """Bytes of each image (N,)."""
    names: Texts = field(metadata={"texts": True})
    """Name of each image inside its tar."""
    words: Texts = field(metadata={"texts": True})
    """Class of each image as its `.cls` says, or an empty text."""
    class_names: Texts = field(metadata={"texts": True})
    """Name of each image's class as its `.json` says, or an empty text."""

    @classmethod
    def joined(cls, tables: Sequence["TarTable"]) -> "TarTable":
        """The tars of several tables, in a row."""
        counts = np.concatenate([np.diff(table.starts) for table in tables])
        return cls(
            [tar for table in tables for tar in table.tars],
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.concatenate([table.offsets for table in tables]),
            np.concatenate([table.sizes for table in tables]),
            *(Texts.joined([getattr(table, name) for table in tables]) for name in TEXTS),
        )

    def tar(self, number: int) -> "TarTable":
        """A table of one of the tars."""
        first, end = self.starts[number : number + 2].tolist()
        return TarTable(
            [self.tars[number]],
            np.array([0, end - first]),
            self.offsets[first:end],
            self.sizes[first:end],
            *(getattr(self, name).cut(first, end) for name in TEXTS),
        )

    def is_sound(self) -> bool:
        """Whether the arrays fit to each other."""
        rows = len(self.offsets)
        return (
            self.starts.shape == (len(self.tars) + 1,)
            and (self.starts[0], self.starts[-1]) == (0, rows)
            and bool((np.diff(self.starts) >= 0).all())
            and self.sizes.shape == (rows,)
            and all(getattr(self, name).is_sound(rows) for name in TEXTS)
        )


TEXTS = tuple(one.name for one in fields(TarTable) if "texts" in one.metadata)
"""The columns of texts."""

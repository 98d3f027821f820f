"""WebDataset: plain tars in which the files of one example share the beginning of their name.

`0001.jpg`, `0001.cls` and `0001.json` belong together; see `tar_examples`. The shards are never
extracted: the places of the images are looked up in an index (`tar_index`) or found by reading
through the tars once, and each image is read from its place.
"""

import logging
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from smalti.data.sources.base import (
    SOURCES,
    ImageSource,
    files_fingerprint,
    printable,
    require_images,
)
from smalti.data.sources.classes import ClassTable, classes_from_words, distinct_names
from smalti.data.sources.part_names import IMAGES, KEYPOINTS
from smalti.data.sources.parts import KEYPOINTS_SUFFIX, choose_part
from smalti.data.sources.remote import is_remote, local_copy, read_part
from smalti.data.sources.shards import find_shards, names_shards, relative_names
from smalti.data.sources.tar_index import open_tars
from smalti.data.sources.tar_table import Tar
from smalti.words import counted

logger = logging.getLogger(__name__)


@SOURCES.register("webdataset")
class WebDatasetSource(ImageSource):
    """Images in tar shards, in the order of the shards and their members.

    Only regular files count, so links, devices and folders in a tar mean nothing, and a member's
    path is text. The first image of an example counts. With classes, `.cls` is the class and
    `.json` may name it; examples without a `.cls` are left out. A shard that is cut short is read
    up to the damage. All that is left out is logged.

    Raises:
        InputError: a shard is missing or not an uncompressed tar, or no image is left.
    """

    def __init__(self, spec: str, classes: bool, part: str = IMAGES) -> None:
        self.spec = spec
        self._paths = find_shards(spec, ".tar")
        self.location, self._names = relative_names(self._paths)
        self._tars = open_tars(self._paths, classes)
        counts = [end - first for first, end in (tar.rows for tar in self._tars)]
        self._starts = np.cumsum([0, *counts])  # of each tar among all rows, and their number
        self._rows = self._rows_with_a_class() if classes else None
        """Numbers of the rows that count; None are all of them, without an array of them."""
        without_class = 0 if self._rows is None else int(self._starts[-1]) - len(self._rows)
        needed = "an image and a .cls" if classes else "an image"
        self._report(without_class, needed)
        require_images(len(self), spec, f"only examples with {needed} are read")
        self._choose(part)
        if classes:
            self.class_names, self.labels = self._classes()

    @classmethod
    def accepts(cls, spec: str) -> bool:
        """Whether `spec` names tars or a folder of them."""
        return names_shards(spec, ".tar")

    def __len__(self) -> int:
        return int(self._starts[-1]) if self._rows is None else len(self._rows)

    def name(self, index: int) -> str:
        """Name of an image, `shard.tar/member`."""
        shard, row = self._place(index)
        return f"{self._names[shard]}/{self._tars[shard].table.names[row]}"

    def content(self, index: int) -> bytes:
        """The bytes of an image's member."""
        shard, row = self._place(index)
        path, tar = self._paths[shard], self._tars[shard]
        start, size = int(tar.table.offsets[row]), int(tar.table.sizes[row])
        if is_remote(path) and tar.is_indexed:
            return read_part(path, start, size)
        # Opened each time: the position of an open file would be shared between forked workers.
        with open(local_copy(path) if is_remote(path) else path, "rb") as file:
            file.seek(start)
            return file.read(size)

    def shards(self) -> list[tuple[str, int]]:
        """The tars, with their numbers of images."""
        edges = self._starts if self._rows is None else np.searchsorted(self._rows, self._starts)
        return list(zip(self._names, np.diff(edges).tolist(), strict=True))

    def fingerprint(self) -> str:
        """Hash of names, sizes and times of the shards."""
        return files_fingerprint(self.location, self._names)

    def _place(self, index: int) -> tuple[int, int]:
        """The shard of an image, and its row in the table of the shard."""
        row = index if self._rows is None else int(self._rows[index])
        shard = int(np.searchsorted(self._starts, row, side="right")) - 1
        return shard, self._tars[shard].rows[0] + row - int(self._starts[shard])

    def _member(self, index: int) -> str:
        shard, row = self._place(index)
        return self._tars[shard].table.names[row]

    def _rows_with_a_class(self) -> NDArray[np.int64]:
        """Numbers of the rows of images with a class, and of poses."""
        return np.array(
            [
                start + row - tar.rows[0]
                for tar, start in zip(self._tars, self._starts.tolist(), strict=False)
                for row in range(*tar.rows)
                if tar.table.words[row] or tar.table.names[row].lower().endswith(KEYPOINTS_SUFFIX)
            ],
            np.int64,
        )

    def _choose(self, part: str) -> None:
        """Keep the files of a part."""
        if part != KEYPOINTS and not any(tar.has_folders for tar in self._all()):
            return  # parts lie in folders, and so do poses: these are pictures of one kind
        chosen = choose_part([self._member(index) for index in range(len(self))], part, self.spec)
        self.parts = {
            name: frozenset(f"{shard}/{folder}" for shard in self._names for folder in folders)
            for name, folders in chosen.parts.items()
        }
        rows = np.arange(len(self)) if self._rows is None else self._rows
        self._rows = rows[np.array(chosen.positions, np.int64)]

    def _classes(self) -> ClassTable:
        places = [self._place(index) for index in range(len(self))]
        words = [self._tars[shard].table.words[row] for shard, row in places]
        table = classes_from_words(words, printable(self.spec))
        names = list(table.names)
        for label, (shard, row) in zip(table.labels, places, strict=True):
            class_name = self._tars[shard].table.class_names[row]
            # A class that the `.cls` names keeps that name.
            if class_name and names[label] == str(label):
                names[label] = class_name
        return ClassTable(distinct_names(names), table.labels)

    def _all(self) -> Iterator[Tar]:
        return (tar.table.tars[tar.number] for tar in self._tars)

    def _report(self, without_class: int, needed: str) -> None:
        """Log what was left out, a line for each reason, and count files of other kinds."""
        where = printable(self.spec)
        tars = list(zip(self._paths, self._names, self._all(), strict=True))
        for path, _, tar in tars:
            if tar.is_damaged:
                logger.warning("%s is damaged or cut short: read up to there", printable(path))
        incomplete = without_class + sum(tar.without_image for _, _, tar in tars)
        if incomplete:
            what = counted(incomplete, "example")
            logger.warning("left out %s of %s without %s", what, where, needed)
        beside = [f"{name}/{member}" for _, name, tar in tars for member in tar.beside]
        further = [f"{name}/{member}" for _, name, tar in tars for member in tar.further]
        for names, reason in (
            (beside, "taken for what goes with the picture of the same name"),
            (further, "of each name the first picture counts"),
        ):
            if names:
                count, first = counted(len(names), "picture"), printable(names[0])
                logger.warning("left out %s of %s, as %s: %s", count, where, first, reason)
        self.left_out = sum((Counter(tar.others) for _, _, tar in tars), Counter())

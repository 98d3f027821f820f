"""The class that folders, patterns and lists have in common: each image is a file."""

import os
from collections.abc import Sequence

from smalti.data.sources.base import ImageSource, files_fingerprint, read_regular_file
from smalti.data.sources.classes import ClassTable


class FileSource(ImageSource):
    """Files by name below a folder; a sub-class finds the files and calls `hold`."""

    def hold(self, location: str, names: Sequence[str], classes: ClassTable | None) -> None:
        """Set the files to read.

        Args:
            location: folder to which the names are relative.
            names: paths below it, or absolute ones.
            classes: classes of the files in their order, or None without classes.
        """
        self.location = location
        self.class_names = None if classes is None else classes.names
        self._names = names
        self._labels = None if classes is None else classes.labels

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """Path of a file, as the folder or the list gives it."""
        return self._names[index]

    def label(self, index: int) -> int | None:
        """Number of the file's class."""
        return None if self._labels is None else self._labels[index]

    def content(self, index: int) -> bytes:
        """The bytes of a file."""
        return read_regular_file(os.path.join(self.location, self._names[index]))

    def fingerprint(self) -> str:
        """Hash of names, sizes and times of the files."""
        return files_fingerprint(self.location, self._names)

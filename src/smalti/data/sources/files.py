"""The class that folders, patterns and lists have in common: each image is a file."""

import os
from collections.abc import Sequence

from smalti.config import InputError
from smalti.data.sources.base import ImageSource, files_fingerprint, printable, read_regular_file
from smalti.data.sources.classes import classes_from_names
from smalti.data.sources.parts import choose_part, without_part
from smalti.data.sources.remote import joined


class FileSource(ImageSource):
    """Files by name below a folder; a sub-class finds the files and calls `hold`."""

    def hold(self, location: str, names: Sequence[str], part: str) -> Sequence[int]:
        """Keep the files of a part, and return their positions among the names.

        The names are paths below the location, or absolute ones.
        """
        chosen = choose_part(names, part, self.spec)
        self.location, self.parts = location, chosen.parts
        self._names: Sequence[str] = [names[position] for position in chosen.positions]
        return chosen.positions

    def take_folders_for_classes(self) -> None:
        """Make the first folder of each image's path, folders of parts aside, its class.

        Raises:
            InputError: an image lies in no sub-folder.
        """
        folders = []
        for name in self._names:
            path = without_part(name, self.parts)
            folder, separator, _ = path.partition("/")
            if not separator:
                raise InputError(
                    f"classes are asked for, but {printable(os.path.join(self.location, path))} "
                    "lies in no sub-folder; every image must lie in the folder of its class"
                )
            folders.append(folder)
        self.class_names, self.labels = classes_from_names(folders)

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """Path of a file, as the folder or the list gives it."""
        return self._names[index]

    def content(self, index: int) -> bytes:
        """The bytes of a file."""
        return read_regular_file(joined(self.location, self._names[index]))

    def fingerprint(self) -> str:
        """Hash of names, sizes and times of the files."""
        return files_fingerprint(self.location, self._names)


class NamedFiles(FileSource):
    """Picture files that a user names one by one, at least one, without anything beside them."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.spec = paths[0]
        self._names = paths

    @classmethod
    def accepts(cls, spec: str) -> bool:
        """Nothing: it is no kind of data set."""
        return False

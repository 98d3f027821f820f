"""Where the files that are made of photographs go, so that a data set pairs them by name."""

import os
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from smalti.config import InputError
from smalti.data.sources.base import ImageSource, printable, same_spelling
from smalti.data.sources.folder import FolderSource
from smalti.data.sources.part_names import IMAGES, usual_part
from smalti.data.sources.remote import is_remote
from smalti.files import disk_errors

ENDING = "-annotated"
"""Is added to the name of a folder of photographs that is not laid out as a data set."""


@dataclass(frozen=True)
class Place:
    """A data set of photographs and of what is made of them, side by side."""

    data: Path
    """Folder of the data set, for `smalti train --data`."""
    photographs: Path | None
    """Folder to which `data/images` is a link; None if the photographs lie in the data set."""
    above: str
    """Path in the data set to which the names of the photographs are relative."""
    folders: Collection[str]
    """Paths in the data set of the folders of photographs."""

    def file(self, name: str, part: str, suffix: str) -> Path:
        """File of a part for the photograph of a name, which a folder source gave."""
        inside = f"{self.above}/{name}" if self.above else name
        folder = max((f for f in self.folders if inside.startswith(f"{f}/")), key=len)
        rest = os.path.splitext(inside.removeprefix(f"{folder}/"))[0]
        return self.data / os.path.dirname(folder) / part / f"{rest}{suffix}"

    def make(self) -> None:
        """Make the folder of the data set, and the link to the photographs if there must be one.

        Raises:
            InputError: it cannot be made, or something else lies there.
        """
        with disk_errors(self.data):
            self.data.mkdir(parents=True, exist_ok=True)
        if self.photographs is None:
            return
        link = self.data / IMAGES
        if link.is_dir() and link.resolve() == self.photographs.resolve():
            return
        try:
            link.symlink_to(self.photographs.resolve(), target_is_directory=True)
        except OSError as error:
            raise InputError(
                f"cannot link {link} to {self.photographs} ({error.strerror}); give another --out, "
                "or put the photographs into a folder images/ and annotate that one"
            ) from error


def open_photographs(spec: str) -> FolderSource:
    """Open the folder of photographs that a user names.

    Raises:
        InputError: it is no folder, or has no photographs.
    """
    if is_remote(spec):
        raise InputError(f"{printable(spec)} is not on this machine; needed is a folder here")
    if not FolderSource.accepts(spec):
        what = "is no folder of pictures" if os.path.exists(spec) else "does not exist"
        raise InputError(f"{printable(spec)} {what}; needed is a folder of photographs")
    return FolderSource(spec, False)


def place_of(source: FolderSource, out: str | None) -> Place:
    """Find where files go: beside `images/`, or into a new data set with a link to the photographs.

    Args:
        source: the photographs.
        out: folder of a new data set; None puts the files beside the photographs, where their
            folder is called `images` or lies beside others of a data set, else into a folder
            beside theirs whose name ends in `-annotated`.

    Raises:
        InputError: `out` lies inside the photographs, or they lie in a folder of a data set.
    """
    root = Path(source.location)
    folders = _folders_of_photographs(source)
    if out is None and folders:
        return Place(root, None, "", folders)
    absolute = root.resolve()
    if out is None and absolute.name == IMAGES:
        is_named = root.name == IMAGES
        return Place(root.parent if is_named else absolute.parent, None, IMAGES, {IMAGES})
    if folders:
        raise InputError(
            f"{root} has its photographs in {sorted(folders)[0]}/; with --out, name that folder: "
            f"{root / sorted(folders)[0]}"
        )
    data = absolute.with_name(absolute.name + ENDING) if out is None else Path(out)
    if out is None and root.name not in ("", ".."):
        data = root.with_name(root.name + ENDING)  # as the user wrote it
    if data.resolve().is_relative_to(absolute):
        raise InputError(f"--out {data} lies inside of the photographs; choose another folder")
    return Place(data, root, IMAGES, {IMAGES})


def check_place(source: ImageSource, place: Place, part: str, suffix: str) -> None:
    """Refuse photographs whose files could not be told apart, and a second folder for a part.

    Raises:
        InputError: two photographs differ in their ending alone, or the part lies in a folder of
            another name already.
    """
    others = [f for f in source.parts.get(part, ()) if os.path.basename(f) != part]
    if others and place.photographs is None:
        raise InputError(
            f"{place.data} has {part} in {others[0]}/ already; give --out for a data set of its own"
        )
    photographs: dict[str, list[str]] = defaultdict(list)
    for index in range(len(source)):
        name = source.name(index)
        photographs[same_spelling(os.fspath(place.file(name, part, suffix)))].append(name)
    doubled = next((names for names in photographs.values() if len(names) > 1), None)
    if doubled:
        raise InputError(
            f"{printable(doubled[0])} and {printable(doubled[1])} differ in their ending alone, "
            "and files go with photographs by name; rename one"
        )


def _folders_of_photographs(source: ImageSource) -> frozenset[str]:
    """Folders in a data set's folder that hold all its photographs; none if some lie elsewhere."""
    if source.parts:
        return source.parts[IMAGES]
    folders = {_nearest(source.name(index)) for index in range(len(source))}
    return frozenset(folder for folder in folders if folder) if None not in folders else frozenset()


def _nearest(name: str) -> str | None:
    """The nearest folder of a path whose name is usual for photographs."""
    folder = os.path.dirname(name)
    while folder:
        if usual_part(os.path.basename(folder)) == IMAGES:
            return folder
        folder = os.path.dirname(folder)
    return None

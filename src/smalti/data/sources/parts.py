"""Data sets that keep several files of a scene: a photograph, a label map, a depth map, a pose.

On disk and in tars they lie side by side in the folders `images`, `segmentations`, `depths` and
`keypoints` (JSON), under the same names; in tables they are columns. Here each of the four is
called a part. Folders of other usual names (`photos` and `masks`, `JPEGImages` and
`SegmentationClass`) are taken for parts if they lie beside each other.
"""

import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from smalti.config import InputError
from smalti.data.sources.base import (
    IMAGE_SUFFIXES,
    ImageSource,
    is_image_name,
    listed,
    printable,
    require_images,
    same_spelling,
)
from smalti.data.sources.part_names import (
    COLUMNS,
    IMAGES,
    KEYPOINTS,
    OTHER_MAPS,
    looks_like_maps,
    usual_part,
)
from smalti.words import counted

logger = logging.getLogger(__name__)

KEYPOINTS_SUFFIX = ".json"
MOST_NAMED = 5  # folders in a message

Folders = Mapping[str, frozenset[str]]
"""Paths of folders by the part that lies in them."""


class Chosen(NamedTuple):
    """The files of one part."""

    positions: Sequence[int]
    """Numbers of the files among all files."""
    parts: Folders
    """All parts of the data set and their folders; empty if the files are all of one kind."""


def choose_part(names: Sequence[str], part: str, spec: str) -> Chosen:
    """Choose the files of a part, or all pictures if none lies in a folder of maps.

    For photographs the log tells which files are left out, and which folders are taken for
    photographs although their names are usual for maps. Names have `/` between folders; the part is
    "images", "segmentations", "depths" or "keypoints".

    Raises:
        InputError: the data set has other parts, but not this one.
    """
    kinds = _Kinds(names)
    part_of_files = [kinds.of(name) for name in names]
    parts = {column: kinds.folders(column) for column in COLUMNS if column in part_of_files}
    # A folder may be called `images` for other reasons; beside others, it is the photographs'.
    all_parts = set(part_of_files)
    is_one_kind = all_parts <= {None, IMAGES} or all_parts <= {None, KEYPOINTS}
    if is_one_kind and part != KEYPOINTS:
        pictures = [position for position, name in enumerate(names) if not _is_pose(name)]
        require_images(len(pictures), spec, "files of keypoints alone are no images")
        if part == IMAGES:
            _report_likely_maps(names, spec)
        return Chosen(pictures, {})
    if part not in parts:
        raise InputError(_missing(part, parts, kinds.folders(OTHER_MAPS), spec))
    if part == IMAGES:
        _report_left_out(names, part_of_files, kinds.folders(OTHER_MAPS), spec)
    positions = [position for position, file_part in enumerate(part_of_files) if file_part == part]
    return Chosen(positions, parts)


def without_part(name: str, parts: Folders) -> str:
    """A file's name without the folder of its part; classes are read from it."""
    folders = name.split("/")
    for depth in range(len(folders) - 1, 0, -1):
        path = "/".join(folders[:depth])
        if any(path in paths for paths in parts.values()):
            return "/".join(folders[: depth - 1] + folders[depth:])
    return name


def scene(source: ImageSource, index: int) -> str:
    """Name of an image's scene, which is its name without part and suffix."""
    name = source.name(index)
    if not source.parts:
        return same_spelling(name)
    common = without_part(name, source.parts)
    is_file = is_image_name(common) or _is_pose(common)
    return same_spelling(os.path.splitext(common)[0] if is_file else common)


def own_name(source: ImageSource, index: int, components: int, above: str) -> str:
    """The last components of an image's path without suffix; folders of parts do not count.

    So a photograph and its maps have the same name, whichever folder above them is the root. It has
    at most so many components, with that of the file; `above` is put before a path of fewer.
    """
    folders, _, name = same_spelling(source.own_name(index)).rpartition("/")
    stem, suffix = os.path.splitext(name)
    last = stem if suffix.lower() in (*IMAGE_SUFFIXES, KEYPOINTS_SUFFIX) else name
    if components == 1:
        return last
    others = (folder for folder in folders.split("/") if folder and usual_part(folder) is None)
    return "/".join([above, *others, last][-components:])


def former_scene(source: ImageSource, index: int) -> str:
    """Name of a scene in runs that began before `data.split.OwnNames`, which divided them by it.

    It must stay as it was for these runs, even if `scene` changes.
    """
    name = source.name(index)
    if not source.parts:
        return name
    wanted = {KEYPOINTS} if _is_pose(name) else COLUMNS.keys() - {KEYPOINTS}
    folders = name.split("/")
    for depth in range(len(folders) - 2, -1, -1):
        if folders[depth] in wanted:
            del folders[depth]
            break
    common = "/".join(folders)
    return os.path.splitext(common)[0] if is_image_name(common) or _is_pose(common) else common


def is_keypoints_name(name: str) -> bool:
    """Whether a file, by its path with `/` between folders, may hold keypoints."""
    folders = name.split("/")[:-1]
    return _is_pose(name) and any(usual_part(folder) == KEYPOINTS for folder in folders)


def describe_parts(parts: Folders) -> str:
    """One line that tells which folders are taken for which part; empty for tables."""
    return "; ".join(f"{part} from {_listed(paths)}" for part, paths in parts.items() if paths)


class _Kinds:
    """The parts of the files of a data set, by the folders in which they lie.

    A folder with the name of a part holds that part. A folder of another usual name does so if
    photographs and maps lie beside each other, and no second folder might be the same part.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._kinds: dict[tuple[str, bool], str] = {}  # of a folder's pictures, or of its poses
        self._parts: dict[tuple[str, bool], str | None] = {}  # of folders asked for before
        above = {
            (folder, is_pose)
            for place, is_pose in {(os.path.dirname(name), _is_pose(name)) for name in names}
            for folder in _with_parents(place)
        }
        beside: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for folder, is_pose in sorted(above):
            part = usual_part(os.path.basename(folder))
            if part is not None and (part == KEYPOINTS) == is_pose:
                beside[os.path.dirname(folder)][part].append(folder)
        for parts in beside.values():
            self._add(parts)

    def _add(self, parts: Mapping[str, Sequence[str]]) -> None:
        """Add the folders of one parent, by the part that their names tell."""
        is_pair = IMAGES in parts and len(parts) > 1
        for part, folders in parts.items():
            is_unambiguous = part == IMAGES or len(folders) == 1
            for folder in folders:
                is_exact = os.path.basename(folder) == part
                if is_exact or is_pair:
                    is_part = is_exact or is_unambiguous
                    self._kinds[folder, part == KEYPOINTS] = part if is_part else OTHER_MAPS

    def of(self, name: str) -> str | None:
        """The part of a file, or None if no folder of its path tells it."""
        folder, is_pose = place = (os.path.dirname(name), _is_pose(name))
        if place not in self._parts:
            # The nearest one: a folder far above may be called `images` for other reasons.
            above = (self._kinds.get((path, is_pose)) for path in _with_parents(folder))
            self._parts[place] = next((part for part in above if part is not None), None)
        return self._parts[place]

    def folders(self, part: str) -> frozenset[str]:
        """Paths of the folders of a part."""
        return frozenset(folder for (folder, _), kind in self._kinds.items() if kind == part)


def _with_parents(folder: str) -> Iterator[str]:
    """A folder and those above it, the nearest first."""
    while folder and folder != os.path.dirname(folder):
        yield folder
        folder = os.path.dirname(folder)


def _is_pose(name: str) -> bool:
    return name.lower().endswith(KEYPOINTS_SUFFIX)


def _missing(part: str, parts: Folders, others: frozenset[str], spec: str) -> str:
    line = f"{printable(spec)} has no folder {part}/"
    if parts:
        line += f", but {', '.join(f'{folder}/' for folder in sorted(parts))}"
    if others:
        line += f"; {_listed(others)} may be that: rename the right one to {part}"
    return line


def _report_likely_maps(names: Sequence[str], spec: str) -> None:
    folders = {os.path.dirname(name) for name in names if not _is_pose(name)}
    # What lies above the data set, as absolute paths in a list tell, says nothing of it.
    inside = (f for f in folders if not os.path.isabs(f))
    above = folders | {parent for folder in inside for parent in _with_parents(folder)}
    likely = {folder for folder in above if looks_like_maps(os.path.basename(folder))}
    likely |= _with_names_of_photographs(names, above)
    if likely:
        logger.warning(
            "%s: %s taken for photographs, though folders of such a name, or with the same names "
            "as images/ beside them, usually hold maps; to have them read as maps, put the "
            "photographs into a folder images/ and the maps into segmentations/ or depths/ beside",
            printable(spec),
            _listed(likely),
        )


def _with_names_of_photographs(names: Sequence[str], folders: Iterable[str]) -> set[str]:
    """Folders beside one of photographs whose files all have the names of photographs."""
    beside: dict[str, list[str]] = defaultdict(list)
    for folder in folders:
        beside[os.path.dirname(folder)].append(folder)
    likely = set()
    for together in beside.values():
        photographs = [f for f in together if usual_part(os.path.basename(f)) == IMAGES]
        others = set(together) - set(photographs)
        if photographs and others:
            known = set().union(*(_stems(names, folder) for folder in photographs))
            likely |= {folder for folder in others if _stems(names, folder) <= known}
    return likely


def _stems(names: Iterable[str], folder: str) -> set[str]:
    """Paths of the pictures below a folder, relative to it and without their endings."""
    below = (name.removeprefix(f"{folder}/") for name in names if name.startswith(f"{folder}/"))
    return {same_spelling(os.path.splitext(name)[0]) for name in below if is_image_name(name)}


def _report_left_out(
    names: Sequence[str], parts: Sequence[str | None], others: frozenset[str], spec: str
) -> None:
    maps = sum(part == OTHER_MAPS for part in parts)
    if maps:
        logger.warning(
            "%s: left out %s of %s, maps of a kind that is not read, or of two folders for one "
            "kind; to read one, call it segmentations/ or depths/",
            printable(spec),
            counted(maps, "picture"),
            _listed(others),
        )
    outside = [
        name for name, part in zip(names, parts, strict=True) if part is None and not _is_pose(name)
    ]
    if outside:
        logger.warning(
            "%s: left out %s outside of the folders of photographs and maps, as %s",
            printable(spec),
            counted(len(outside), "picture"),
            printable(outside[0]),
        )


def _listed(folders: Iterable[str]) -> str:
    return listed([f"{folder}/" for folder in sorted(folders)], MOST_NAMED)

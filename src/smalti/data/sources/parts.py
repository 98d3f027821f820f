"""Data sets that keep several files of a scene: a photograph, a label map, a depth map, a pose.

On disk and in tars they lie side by side in the folders `images`, `segmentations`, `depths` and
`keypoints` (JSON), under the same names; in tables they are columns. Beside each other, folders of
other usual names (`photos` and `masks`, `JPEGImages` and `SegmentationClass`) are taken for these.
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
    counted,
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

logger = logging.getLogger(__name__)

KEYPOINTS_SUFFIX = ".json"
MOST_NAMED = 5  # folders in a message

Folders = Mapping[str, frozenset[str]]
"""Paths of folders by what lies in them."""


class Chosen(NamedTuple):
    """The files of one part."""

    positions: Sequence[int]
    """Among all files."""
    parts: Folders
    """All parts that there are, and their folders; empty where the files are all of one kind."""


def choose_part(names: Sequence[str], part: str, spec: str) -> Chosen:
    """The files of a part, or all pictures where none lies in a folder of maps.

    Of photographs it is logged what is left out beside them, and what is taken for one though its
    folder is called like one of maps.

    Args:
        names: of all files, with `/` between folders.
        part: "images", "segmentations", "depths" or "keypoints".
        spec: the data set, for messages.

    Raises:
        InputError: there are other parts, but not this one.
    """
    kinds = _Kinds(names)
    found = [kinds.of(name) for name in names]
    parts = {own: kinds.folders(own) for own in COLUMNS if own in found}
    # A folder may be called `images` for other reasons; beside others, it is the photographs'.
    is_one_kind = set(found) <= {None, IMAGES} or set(found) <= {None, KEYPOINTS}
    if is_one_kind and part != KEYPOINTS:
        pictures = [position for position, name in enumerate(names) if not _is_pose(name)]
        require_images(len(pictures), spec, "files of keypoints alone are no images")
        if part == IMAGES:
            _report_likely_maps(names, spec)
        return Chosen(pictures, {})
    if part not in parts:
        raise InputError(_missing(part, parts, kinds.folders(OTHER_MAPS), spec))
    if part == IMAGES:
        _report_left_out(names, found, kinds.folders(OTHER_MAPS), spec)
    positions = [position for position, own in enumerate(found) if own == part]
    return Chosen(positions, parts)


def without_part(name: str, parts: Folders) -> str:
    """A file's name without the folder of its part: what classes are read from."""
    folders = name.split("/")
    for depth in range(len(folders) - 1, 0, -1):
        path = "/".join(folders[:depth])
        if any(path in paths for paths in parts.values()):
            return "/".join(folders[: depth - 1] + folders[depth:])
    return name


def scene(source: ImageSource, index: int) -> str:
    """What the pictures of a scene have in common: an image's name without part and suffix."""
    name = source.name(index)
    if not source.parts:
        return same_spelling(name)
    common = without_part(name, source.parts)
    is_file = is_image_name(common) or _is_pose(common)
    return same_spelling(os.path.splitext(common)[0] if is_file else common)


def own_name(source: ImageSource, index: int, components: int, above: str) -> str:
    """The last components of an image's path without suffix; folders of parts do not count.

    So a photograph and its maps have the same, whichever folder above them is the root.

    Args:
        source: of the image.
        index: of the image in it.
        components: at most; the file's own name is the first.
        above: stands before the whole path, where that has fewer components.
    """
    folders, _, name = same_spelling(source.own_name(index)).rpartition("/")
    stem, suffix = os.path.splitext(name)
    own = stem if suffix.lower() in (*IMAGE_SUFFIXES, KEYPOINTS_SUFFIX) else name
    if components == 1:
        return own
    kept = (folder for folder in folders.split("/") if folder and usual_part(folder) is None)
    return "/".join([above, *kept, own][-components:])


def former_scene(source: ImageSource, index: int) -> str:
    """The name by which runs were divided that began before `data.split.OwnNames`.

    It must stay as it was for their sake, whatever becomes of `scene`.
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
    """One line: which folders are taken for what; parts of a table are columns, and have none."""
    return "; ".join(f"{part} from {_listed(paths)}" for part, paths in parts.items() if paths)


class _Kinds:
    """What the files of a data set are, by the folders that they lie in.

    A folder with the name of a part holds that part. One of another usual name does so where
    photographs and maps lie beside each other, and no second folder might be the same part.

    Args:
        names: of all files.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._pictures: dict[str, str] = {}
        self._poses: dict[str, str] = {}
        self._parts: dict[tuple[str, bool], str | None] = {}  # of folders asked for before
        above: dict[bool, set[str]] = {False: set(), True: set()}
        for folder, is_pose in {(os.path.dirname(name), _is_pose(name)) for name in names}:
            above[is_pose].update(_with_parents(folder))
        beside: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for is_pose, folders in above.items():
            for folder in sorted(folders):
                part = usual_part(os.path.basename(folder))
                if part is not None and (part == KEYPOINTS) == is_pose:
                    beside[os.path.dirname(folder)][part].append(folder)
        for parts in beside.values():
            self._add(parts)

    def _add(self, parts: Mapping[str, Sequence[str]]) -> None:
        """Take the folders of one parent, by the part that their names tell."""
        is_pair = IMAGES in parts and len(parts) > 1
        for part, folders in parts.items():
            own = [folder for folder in folders if os.path.basename(folder) == part]
            is_told_apart = part == IMAGES or len(folders) == 1
            kinds = self._poses if part == KEYPOINTS else self._pictures
            for folder in folders:
                if folder in own or (is_pair and is_told_apart):
                    kinds[folder] = part
                elif is_pair:
                    kinds[folder] = OTHER_MAPS

    def of(self, name: str) -> str | None:
        """The part of a file; None where no folder of its path tells."""
        place = (os.path.dirname(name), _is_pose(name))
        if place not in self._parts:
            kinds = self._poses if place[1] else self._pictures
            # The nearest one: a folder far above may be called `images` for other reasons.
            telling = (folder for folder in _with_parents(place[0]) if folder in kinds)
            nearest = next(telling, None)
            self._parts[place] = None if nearest is None else kinds[nearest]
        return self._parts[place]

    def folders(self, part: str) -> frozenset[str]:
        """Paths of the folders of a part."""
        kinds = self._pictures | self._poses
        return frozenset(folder for folder, own in kinds.items() if own == part)


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
        line += f", but {', '.join(f'{own}/' for own in sorted(parts))}"
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
    """Of all folders, those beside one of photographs whose files all have names of files there."""
    beside: dict[str, list[str]] = defaultdict(list)
    for folder in folders:
        beside[os.path.dirname(folder)].append(folder)
    found = set()
    for together in beside.values():
        photographs = [f for f in together if usual_part(os.path.basename(f)) == IMAGES]
        others = set(together) - set(photographs)
        if photographs and others:
            known = set().union(*(_stems(names, folder) for folder in photographs))
            found |= {folder for folder in others if _stems(names, folder) <= known}
    return found


def _stems(names: Iterable[str], folder: str) -> set[str]:
    """Paths of the pictures below a folder, relative to it and without their endings."""
    below = (name.removeprefix(f"{folder}/") for name in names if name.startswith(f"{folder}/"))
    return {same_spelling(os.path.splitext(name)[0]) for name in below if is_image_name(name)}


def _report_left_out(
    names: Sequence[str], found: Sequence[str | None], others: frozenset[str], spec: str
) -> None:
    maps = sum(own == OTHER_MAPS for own in found)
    if maps:
        logger.warning(
            "%s: left out %s of %s, maps of a kind that is not read, or of two folders for one "
            "kind; to read one, call it segmentations/ or depths/",
            printable(spec),
            counted(maps, "picture"),
            _listed(others),
        )
    outside = [
        name for name, own in zip(names, found, strict=True) if own is None and not _is_pose(name)
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

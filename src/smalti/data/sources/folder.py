"""The data set in a folder: every image file below it, with sub-folders as classes."""

import contextlib
import logging
import os
from collections import Counter
from collections.abc import Iterator

from smalti.config import InputError
from smalti.data.sources.base import (
    IMAGE_SUFFIXES,
    SOURCES,
    is_image_name,
    printable,
    require_images,
)
from smalti.data.sources.files import FileSource
from smalti.data.sources.left_out import ending_of, in_words
from smalti.data.sources.part_names import IMAGES
from smalti.data.sources.parts import is_keypoints_name
from smalti.data.sources.remote import files_below, is_remote
from smalti.data.sources.shards import holds_shards, is_folder

logger = logging.getLogger(__name__)


@SOURCES.register("folder")
class FolderSource(FileSource):
    """The image files in a folder and all folders below it, sorted by path.

    Hidden files are left out. With classes, each image's class is the first folder of its path (or
    the first below `images`, if label or depth maps lie beside them). Links to folders are
    followed, but each real folder is read once.

    Raises:
        InputError: there are no images, or `classes` is true and an image lies in no sub-folder.
    """

    def __init__(self, spec: str, classes: bool, part: str = IMAGES) -> None:
        self.spec = spec
        left_out: Counter[str] = Counter()
        find = _remote_files if is_remote(spec) else _image_files
        names = sorted(find(spec, left_out))
        self.left_out = left_out
        allowed = ", ".join(IMAGE_SUFFIXES)
        others = f"; it has {in_words(left_out)}" if left_out else ""
        needed = f"files with one of these endings count: {allowed}{others}"
        require_images(len(names), spec, needed)
        self.hold(spec, names, part)
        if classes:
            self.take_folders_for_classes()

    @classmethod
    def accepts(cls, spec: str) -> bool:
        """Whether `spec` is a folder, but not one of shards."""
        return is_folder(spec) and not holds_shards(spec)


def _image_files(root: str, left_out: Counter[str]) -> Iterator[str]:
    """Find image and keypoint files below `root`: paths relative to it, with `/` in between.

    Other files are counted in `left_out`, by their ending.
    """
    waiting = [""]
    seen: set[tuple[int, int]] = set()
    while waiting:
        folder = waiting.pop()
        status = os.stat(os.path.join(root, folder))
        # A link may lead back to a folder above it.
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        linked: list[str] = []
        real: list[str] = []
        for entry in _visible_entries(root, folder):
            path = f"{folder}/{entry.name}" if folder else entry.name
            if _is_folder(entry):
                (linked if entry.is_symlink() else real).append(path)
            elif (is_image_name(entry.name) or is_keypoints_name(path)) and _is_file(entry):
                yield path
            elif not is_image_name(entry.name) and not is_keypoints_name(path):
                left_out[ending_of(entry.name)] += 1
        # The last is read first: a folder goes by its own name rather than by that of a link.
        waiting = sorted(linked) + waiting + sorted(real)


def _remote_files(root: str, left_out: Counter[str]) -> Iterator[str]:
    """As `_image_files`, below the address of a folder."""
    for path in files_below(root):
        if is_image_name(path) or is_keypoints_name(path):
            yield path
        else:
            left_out[ending_of(os.path.basename(path))] += 1


def _visible_entries(root: str, folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(os.path.join(root, folder)) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except PermissionError as error:
        path = printable(os.path.join(root, folder))
        raise InputError(f"no permission to read the folder {path}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):  # a link to itself
        return entry.is_dir()
    return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):
        if entry.is_file():
            return True
    logger.warning("left out %s: it is no file, or a link to none", printable(entry.path))
    return False

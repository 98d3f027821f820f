"""The data set of a pattern: the image files that its wildcards or braces match."""

import glob
import os

from smalti.data.sources.base import (
    LIST_SUFFIXES,
    SHARD_SUFFIXES,
    SOURCES,
    is_image_name,
    printable,
    require_images,
)
from smalti.data.sources.files import FileSource
from smalti.data.sources.hub import HubSource
from smalti.data.sources.part_names import IMAGES
from smalti.data.sources.parts import is_keypoints_name
from smalti.data.sources.remote import is_remote
from smalti.data.sources.shards import matches_of


@SOURCES.register("glob")
class GlobSource(FileSource):
    """The image files that match a pattern, each once, sorted within each alternative of braces.

    The path before the first folder with a wildcard is the data set's folder: names are relative to
    it, and classes are the folders in it. Hidden files are left out, and folders that match are not
    entered.

    Raises:
        InputError: nothing matches, or no image does; or `classes` is true and an image lies in no
            sub-folder.
    """

    def __init__(self, spec: str, classes: bool, part: str = IMAGES) -> None:
        self.spec = spec
        root = _folder_before_wildcards(spec)
        matches = dict.fromkeys(_below(root, path) for path in matches_of(spec))
        names = [
            name
            for name in (match.replace(os.sep, "/") for match in matches)
            if (is_image_name(name) or is_keypoints_name(name))
            and (is_remote(root) or os.path.isfile(os.path.join(root, name)))
        ]
        require_images(len(names), spec, _hint(spec, list(matches)))
        self.hold(root, names, part)
        if classes:
            self.take_folders_for_classes()

    @classmethod
    def accepts(cls, spec: str) -> bool:
        """Whether `spec` is a pattern, no path here, and does not name shards or lists."""
        is_other = spec.lower().endswith(LIST_SUFFIXES + SHARD_SUFFIXES) or HubSource.accepts(spec)
        return _has_wildcards(spec) and not is_other and not os.path.lexists(spec)


def _has_wildcards(text: str) -> bool:
    return glob.has_magic(text) or "{" in text


def _folder_before_wildcards(spec: str) -> str:
    folder = os.path.dirname(spec)
    while _has_wildcards(folder) and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _below(root: str, path: str) -> str:
    return path.removeprefix(f"{root}/") if is_remote(root) else os.path.relpath(path, root or ".")


def _hint(spec: str, matches: list[str]) -> str:
    """What to say of matches without an image."""
    shards = next((end for end in SHARD_SUFFIXES if all(m.endswith(end) for m in matches)), None)
    if shards is not None:
        return f"for shards, let the pattern end in {shards}, as {printable(spec)}{shards}"
    return f"it matches {printable(matches[0])}; a pattern names files, as 'photos/**/*.png'"

"""Finds the files of a spec that names several: a folder of shards, a glob or a brace range."""

import glob
import os
from collections.abc import Sequence

from braceexpand import braceexpand

from smalti.config import InputError
from smalti.data.sources.base import SHARD_SUFFIXES, is_image_name, printable


def names_shards(spec: str, suffix: str) -> bool:
    """Whether `spec` ends in `suffix` or is a folder of such files.

    A folder with pictures or folders beside the shards is taken for a folder of images.
    """
    if not os.path.isdir(spec):
        return spec.lower().endswith(suffix)
    with os.scandir(spec) as entries:
        visible = [entry for entry in entries if not entry.name.startswith(".")]
    if any(entry.is_dir() or is_image_name(entry.name) for entry in visible):
        return False
    return any(entry.name.lower().endswith(suffix) for entry in visible)


def holds_shards(folder: str) -> bool:
    """Whether `folder` holds shards of any kind rather than images."""
    return os.path.isdir(folder) and any(names_shards(folder, kind) for kind in SHARD_SUFFIXES)


def find_shards(spec: str, suffix: str) -> list[str]:
    """Find the files that `spec` names, in order.

    It is a file, a folder of which those with the suffix count, or a pattern as of `matches_of`.

    Raises:
        InputError: a file is missing or nothing matches.
    """
    if os.path.isdir(spec):
        names = sorted(os.listdir(spec))
        return [os.path.join(spec, name) for name in names if name.lower().endswith(suffix)]
    if os.path.isfile(spec):
        return [spec]
    return matches_of(spec)


def matches_of(spec: str) -> list[str]:
    """Find the paths that a pattern matches, sorted for each alternative of its braces in turn.

    It has `*`, `?`, `[...]`, `**` for folders of any depth, `{000..007}` or `{a,b}`.

    Raises:
        InputError: a brace has no partner, or nothing matches an alternative.
    """
    try:
        # A backslash escapes braces, but separates folders on Windows.
        patterns = list(braceexpand(spec, escape=os.sep != "\\"))
    except ValueError as error:
        raise InputError(f"{printable(spec)} has a brace without its partner") from error
    paths: list[str] = []
    for pattern in patterns:
        # A file whose name holds a wildcard character is meant literally.
        is_file = os.path.isfile(pattern)
        matches = [pattern] if is_file else sorted(glob.glob(pattern, recursive=True))
        if not matches:
            raise InputError(f"{printable(pattern)} does not exist, or nothing matches it")
        paths.extend(matches)
    return paths


def relative_names(paths: Sequence[str]) -> tuple[str, list[str]]:
    """Split paths into the folder that all have in common, and the names below it with `/`.

    Without such a folder (some paths are absolute, or on other drives) the names are the paths.
    """
    try:
        folder = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
        names = [os.path.relpath(path, folder or ".") for path in paths]
    except ValueError:
        folder, names = "", list(paths)
    return folder, [name.replace(os.sep, "/") for name in names]

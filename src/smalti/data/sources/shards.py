"""Finds the files of a spec that names several: a folder of shards, a glob or a brace range."""

import glob
import os
from collections.abc import Sequence

from braceexpand import braceexpand

from smalti.config import InputError
from smalti.data.sources import remote
from smalti.data.sources.base import LIST_SUFFIXES, SHARD_SUFFIXES, is_image_name, printable


def names_shards(spec: str, suffix: str) -> bool:
    """Whether `spec` ends in `suffix` or is a folder of such files.

    A folder with pictures or folders beside the shards is taken for a folder of images.
    """
    if not is_folder(spec):
        return spec.lower().endswith(suffix)
    folders, files = _visible(spec)
    if folders or any(map(is_image_name, files)):
        return False
    return any(name.lower().endswith(suffix) for name in files)


def is_folder(spec: str) -> bool:
    """Whether `spec` is a folder, here or elsewhere.

    Elsewhere, what is named as shards or lists or has wildcards is none, and nobody is asked.

    Raises:
        InputError: it lies elsewhere, and its place cannot be reached.
    """
    if not remote.is_remote(spec):
        return os.path.isdir(spec)
    is_named = spec.lower().endswith(SHARD_SUFFIXES + LIST_SUFFIXES)
    has_wildcards = remote.before_wildcards(spec) != spec
    return not is_named and not has_wildcards and remote.is_folder(spec)


def _visible(folder: str) -> tuple[list[str], list[str]]:
    """Names of the folders and of the files in a folder, without hidden ones."""
    if remote.is_remote(folder):
        folders, files = remote.entries(folder)
    else:
        with os.scandir(folder) as entries:
            kinds = {entry.name: entry.is_dir() for entry in entries}
        folders = [name for name, is_dir in kinds.items() if is_dir]
        files = [name for name, is_dir in kinds.items() if not is_dir]
    return _without_hidden(folders), _without_hidden(files)


def _without_hidden(names: Sequence[str]) -> list[str]:
    return [name for name in names if not name.startswith(".")]


def holds_shards(folder: str) -> bool:
    """Whether `folder` holds shards of any kind rather than images."""
    return is_folder(folder) and any(names_shards(folder, kind) for kind in SHARD_SUFFIXES)


def find_shards(spec: str, suffix: str) -> list[str]:
    """Find the files that `spec` names, in order.

    It is a file, a folder of which those with the suffix count, or a pattern as of `matches_of`.

    Raises:
        InputError: a file is missing or nothing matches.
    """
    if remote.is_remote(spec):
        return matches_of(f"{spec.rstrip('/')}/*{suffix}" if is_folder(spec) else spec)
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
    find = remote.matches if remote.is_remote(spec) else _local_matches
    paths: list[str] = []
    for pattern, found in zip(patterns, find(patterns), strict=True):
        if not found:
            raise InputError(f"{printable(pattern)} does not exist, or nothing matches it")
        paths.extend(found)
    return paths


def _local_matches(patterns: Sequence[str]) -> list[list[str]]:
    # A file whose name holds a wildcard character is meant literally.
    return [
        [pattern] if os.path.isfile(pattern) else sorted(glob.glob(pattern, recursive=True))
        for pattern in patterns
    ]


def relative_names(paths: Sequence[str]) -> tuple[str, list[str]]:
    """Split paths into the folder that all have in common, and the names below it with `/`.

    Without such a folder (some paths are absolute, or on other drives) the names are the paths.
    """
    if any(map(remote.is_remote, paths)):
        return _relative_addresses(paths)
    try:
        folder = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
        names = [_below(path, folder) for path in paths]
    except ValueError:
        folder, names = "", list(paths)
    return folder, [name.replace(os.sep, "/") for name in names]


def _below(path: str, folder: str) -> str:
    """A path relative to a folder that it lies in; at once where it begins with the folder."""
    start = os.path.join(folder, "")
    if path.startswith(start) and not os.path.isabs(path[len(start) :]):
        return os.path.normpath(path[len(start) :])
    return os.path.relpath(path, folder or ".")


def _relative_addresses(paths: Sequence[str]) -> tuple[str, list[str]]:
    protocols, _, places = zip(*(path.partition("://") for path in paths), strict=True)
    common = os.path.commonpath([os.path.dirname(place) for place in places])
    if len(set(protocols)) > 1 or not common:
        return "", list(paths)
    folder = f"{protocols[0]}://{common}"
    return folder, [path.removeprefix(f"{folder}/") for path in paths]

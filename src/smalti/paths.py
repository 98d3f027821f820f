"""Expands `~` in paths, and finds the cache folder. Imports no torch."""

import os
from pathlib import Path
from typing import Any

from smalti.errors import InputError

LOCAL = "file://"
CACHE_VARIABLE = "SMALTI_CACHE"


def cache_folder() -> Path:
    """Folder of what can be fetched or computed anew: SMALTI_CACHE, or smalti in the user's cache.

    The user's cache is XDG_CACHE_HOME, or ~/.cache.
    """
    own = os.environ.get(CACHE_VARIABLE)
    if own:
        return Path(expand(own))
    return Path(expand(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "smalti"


def expand(path: str | os.PathLike[str]) -> str:
    """Replace `~` at the beginning of a path by the home folder, and take away `file://`.

    Shells do not do it in `--out=~/runs`, and never in a config file.

    Raises:
        InputError: the path is empty, holds a NUL, or names a home folder that does not exist.
    """
    path = os.fspath(path)
    if not path or "\0" in path:
        raise InputError(f"{path!r} is no path; give the name of a file or folder")
    path = path.removeprefix(LOCAL) or path
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        home = path.partition("/")[0]
        raise InputError(f"{path}: there is no home folder {home}; a file here is ./{path}")
    return expanded


def path_fields(*names: str) -> Any:
    """Make a validator for configs that expands `~` in fields of paths or of lists of paths."""
    from pydantic import field_validator  # help texts need paths, and do not wait for pydantic

    return field_validator(*names, mode="before")(_expanded)


def _expanded(value: object) -> object:
    if isinstance(value, str | Path):
        return expand(value)
    return [_expanded(one) for one in value] if isinstance(value, list | tuple) else value

"""Paths as people write them.

Imports nothing heavy, so that `smalti COMMAND --help` answers at once.
"""

import os


def expand(path: str | os.PathLike[str]) -> str:
    """A path whose `~` is replaced by the home folder, wherever a shell left it.

    Shells do not replace it in `--out=~/runs`, and never in a config file.

    Raises:
        InputError: the path is empty, holds a NUL, or names the home folder of nobody.
    """
    path = os.fspath(path)
    if not path or "\0" in path:
        raise _input_error(f"{path!r} is no path; give the name of a file or folder")
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        home = path.partition("/")[0]
        raise _input_error(f"{path}: there is no home folder {home}; a file here is ./{path}")
    return expanded


def _input_error(message: str) -> ValueError:
    from smalti.config import InputError

    return InputError(message)

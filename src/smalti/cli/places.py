"""Refuses places that cannot be written, before a command loads anything. Imports nothing heavy."""

import os
from pathlib import Path

from smalti.cli.arguments import listed
from smalti.errors import InputError
from smalti.files import check_writable


def output_folder(name: str, must_be_new: bool = False) -> Path:
    """The folder that `--out` names.

    Raises:
        InputError: it is a file, or there is no permission or no space; or it must be new and holds
            something already.
    """
    folder = Path(name)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is a file, not a folder")
    check_writable(folder)
    if must_be_new and folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"--out {folder} is not empty; choose a new folder")
    return folder


def output_file(name: str, *suffixes: str, option: str = "--out") -> Path:
    """The file that an option names.

    Raises:
        InputError: its suffix is not one of `suffixes`, or it is a folder, or cannot be written.
    """
    path = Path(name)
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{option} {path} must end in {listed(suffixes)}")
    if path.is_dir():
        raise InputError(f"{option} {path} is a folder, not a file")
    check_writable(path.parent)
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"cannot write {path}: no permission to write there")
    return path

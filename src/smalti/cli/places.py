"""Refuses places that cannot be written, before a command loads anything. Imports nothing heavy."""

import os
from pathlib import Path

from smalti.cli.arguments import listed
from smalti.config import InputError
from smalti.files import check_writable


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written, before the work begins.

    Raises:
        InputError: it is a file, or there is no permission or no space.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is a file, not a folder")
    check_writable(folder)


def check_new_folder(folder: Path) -> None:
    """Refuse a folder that holds something already, or cannot be written.

    Raises:
        InputError: it is refused; the message tells why.
    """
    check_folder(folder)
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"--out {folder} is not empty; choose a new folder")


def check_file(path: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse a file that cannot be written, before the work begins.

    Raises:
        InputError: its suffix is not one of `suffixes`, or it is a folder, or cannot be written.
    """
    if path.suffix.lower() not in suffixes:
        raise InputError(f"--out {path} must end in {listed(suffixes)}")
    if path.is_dir():
        raise InputError(f"--out {path} is a folder, not a file")
    check_writable(path.parent)
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"cannot write {path}: no permission to write there")

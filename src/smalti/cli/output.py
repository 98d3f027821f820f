"""Writes pictures of commands."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from PIL import Image

from smalti.compute import choose_compute
from smalti.config import InputError
from smalti.files import TEMPORARY, disk_errors, existing_part, replace, system_lock
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.sample_set import SAMPLES
from smalti.sampling.sheet import contact_sheet
from smalti.tokenizer.base import Tokenizer
from smalti.words import counted

PARTIAL_FILE = "unfinished.safetensors"
"""Name of the file with the codes of images whose drawing was stopped, in their folder."""
SHEET_FILE = "grid.png"
"""Name of the sheet of all images, in their folder."""


def to_device(model: Tokenizer | Pipeline, device: str) -> torch.device:
    """Move a model to the device of `--device`, and print which it is.

    Raises:
        InputError: there is no such device.
    """
    compute = choose_compute(device, "float32")
    model.to(compute.device)
    print(f"device: {compute}")
    return compute.device


def save_pictures(folder: Path, pictures: Mapping[str, Image.Image]) -> None:
    """Write pictures by file name, all of them or none.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    beside = existing_part(folder)  # on the same disk, so that the files can be renamed
    with disk_errors(folder), tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=beside) as made:
        for name, picture in pictures.items():
            picture.save(Path(made) / name)
        folder.mkdir(parents=True, exist_ok=True)
        for name in pictures:
            replace(Path(made) / name, folder / name)


def save_with_sheet(folder: Path, pictures: Sequence[Image.Image]) -> None:
    """Write numbered pictures and a sheet of them, and delete the file of unfinished codes.

    Raises:
        InputError: as `save_pictures`.
    """
    named = {f"{number:04d}.png": picture for number, picture in enumerate(pictures)}
    save_pictures(folder, named | {SHEET_FILE: contact_sheet(pictures)})
    (folder / PARTIAL_FILE).unlink(missing_ok=True)
    print(f"done: {counted(len(pictures), 'image')} and {SHEET_FILE} in {folder}")


@contextmanager
def unfinished_in(path: Path) -> Iterator[None]:
    """Context that locks a folder, and after Ctrl-C prints where the codes drawn so far are.

    Raises:
        InputError: another process draws there, or the folder cannot be written, or holds a set of
            samples in shards, which would no longer be read where single pictures lie beside them.
    """
    folder = path.parent
    if (folder / SAMPLES.description_file).is_file():
        raise InputError(f"{folder} holds samples in shards; choose another --out")
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with system_lock(folder / ".unfinished.lock") as is_ours:
            if is_ours is False:
                raise InputError(
                    f"another process makes images in {folder}; wait for it, or choose another "
                    "--out"
                )
            yield
    except KeyboardInterrupt:
        if path.is_file():
            print(f"stopped; what was drawn is in {path}, and the same command goes on from there")
        raise
    finally:
        for place in missing:
            with suppress(OSError):  # it holds what was made
                place.rmdir()

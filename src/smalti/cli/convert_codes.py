"""`smalti encode --codes DIR --format F`: writes the shards of a folder anew in another format."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from smalti.cli.encode_data import join_if_all_are_there
from smalti.cli.shards import make_shards
from smalti.codes.convert import Conversion, convert_shard, converted, open_conversion
from smalti.codes.manifest import begin_folder
from smalti.config import InputError
from smalti.distributed import from_first
from smalti.words import counted


def convert_codes(options: argparse.Namespace, folder: Path) -> None:
    """Convert this process's share of the shards, and write the manifest if none is missing.

    Raises:
        InputError: an option or one of the folders does not allow it; finished shards are kept.
    """
    make_shards(partial(open_work, options, folder), options, "converted")
    from_first(partial(_finish, options, folder))


class ConversionWork:
    """Shards of codes that are converted."""

    def __init__(self, conversion: Conversion) -> None:
        self._conversion, self.folder = conversion, conversion.folder

    @property
    def sizes(self) -> Sequence[int]:
        """Number of images of each shard."""
        return [shard.images for shard in self._conversion.manifest.shards]

    def begin(self) -> None:
        """Note in the folder what the codes are, or check that they are the same."""
        begin_folder(self.folder, self._conversion.encoding)

    def is_finished(self, number: int) -> bool:
        """Whether a shard was converted before."""
        return converted(self._conversion, number) is not None

    def use(self, device: str) -> None:
        """Do nothing: no model computes."""

    def announce(self) -> None:
        """Print what is converted."""
        conversion = self._conversion
        was, now = conversion.manifest.encoding.file_format, conversion.encoding.file_format
        images, shards = conversion.manifest.images, len(self.sizes)
        print(
            f"codes: {counted(images, 'image')} in {counted(shards, 'shard')} of "
            f"{conversion.source}, from {was} to {now}"
        )

    def make(self, number: int, on_images: Callable[[int], object]) -> int:
        """Convert a shard, and return the number of its images."""
        images = convert_shard(self._conversion, number).images
        on_images(images)
        return images


def open_work(options: argparse.Namespace, folder: Path) -> ConversionWork:
    """Open the folder that is read.

    Raises:
        InputError: it cannot be converted so, or is the one that is written.
    """
    source = Path(options.codes)
    if source.resolve() == folder.resolve():
        raise InputError(f"{source} is the folder of --out, too; choose a new folder")
    return ConversionWork(open_conversion(source, folder, options.format))


def _finish(options: argparse.Namespace, folder: Path) -> None:
    """Write the manifest, or say what to run when other workers are done."""
    if join_if_all_are_there(options, folder) and options.format == "safetensors":
        print(f"next: smalti train prior --codes {folder} --vqgan MODEL")

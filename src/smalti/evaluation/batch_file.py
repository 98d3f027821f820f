"""Reads files of many images in the form of guided diffusion's evaluator: `.npz` with `arr_0`.

Axes: N images, H/W image size in pixels, C features of an image.
Reference: Dhariwal and Nichol 2021, arXiv:2105.05233, whose released code evaluates such files.
"""

import contextlib
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from smalti.config import InputError
from smalti.evaluation.extractors.base import Extractor
from smalti.evaluation.protocol import ImageRecord
from smalti.files import sha256
from smalti.ranges import from_uint8

IMAGES = "arr_0"


class BatchFile:
    """Images of an `.npz` file, read a batch at a time, for 50,000 may not fit into the memory.

    Args:
        path: path of the file; its `arr_0` is (N, H, W, 3) uint8.

    Raises:
        InputError: the file is missing, damaged or holds no images.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as (_, shape):
            self.count, self.height_px, self.width_px, _ = shape

    def record(self) -> ImageRecord:
        """What a protocol says of the images."""
        return ImageRecord(
            source=str(self.path),
            count=self.count,
            height_px=self.height_px,
            width_px=self.width_px,
            crop="as stored",
            kernel="none",
            antialias=False,
            fingerprint=sha256(self.path),
        )

    def batches(self, batch_size: int) -> Iterator[Tensor]:
        """Read images (B, 3, H, W) float32 in [-1, 1], in their order.

        Raises:
            InputError: the file is damaged or cut short.
        """
        with self._open() as (member, shape):
            for start in range(0, self.count, batch_size):
                rows = min(batch_size, self.count - start)
                content = bytearray(member.read(rows * math.prod(shape[1:])))
                pictures = torch.frombuffer(content, dtype=torch.uint8).view(rows, *shape[1:])
                yield from_uint8(pictures.permute(0, 3, 1, 2))

    def features(self, extractor: Extractor, batch_size: int) -> Tensor:
        """Compute the features (N, C) float32 of all images, with a progress bar.

        Raises:
            InputError: the file is damaged or cut short.
        """
        with tqdm(total=self.count, desc=self.path.name, unit="image", disable=None) as bar:
            found = []
            for features in extractor.of_batches(self.batches(batch_size)):
                found.append(features)
                bar.update(len(features))
        return torch.cat(found)

    @contextlib.contextmanager
    def _open(self) -> Iterator[tuple[IO[bytes], tuple[int, ...]]]:
        """Open the file at the images' bytes, and read their shape (N, H, W, 3)."""
        with npz_errors(self.path), zipfile.ZipFile(self.path) as archive:
            if f"{IMAGES}.npy" not in archive.namelist():
                raise InputError(f"{self.path} holds no images: there is no {IMAGES} in it")
            with archive.open(f"{IMAGES}.npy") as member:
                shape, dtype = _header(member)
                if dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or 0 in shape:
                    raise InputError(
                        f"{self.path}: {IMAGES} must be images (N, H, W, 3) of uint8, "
                        f"not {shape} of {dtype}"
                    )
                yield member, shape


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    version = np.lib.format.read_magic(member)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, is_transposed, dtype = read[version](member)
    if is_transposed:
        raise ValueError("the array is stored by columns")
    return shape, dtype


@contextlib.contextmanager
def npz_errors(path: Path) -> Iterator[None]:
    """Context that turns errors about an `.npz` file into an InputError that names it."""
    if not path.is_file():
        raise InputError(f"{path} does not exist, or is no file")
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is damaged, or no .npz file")
    try:
        yield
    except InputError:
        raise
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(f"{path} is damaged, or no .npz file of numbers: {error}") from error

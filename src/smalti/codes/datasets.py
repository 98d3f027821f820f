"""Codes of images as data sets of torch, for a model of one's own and its `DataLoader`.

Axes: B images, h/w grid of codes, K codebook size.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from smalti.codes.order import Row
from smalti.codes.picture_codes import sides_of
from smalti.codes.read import CodeShards
from smalti.config import InputError
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.loader import stack
from smalti.data.sources import open_source
from smalti.paths import expand
from smalti.tokenizer.base import Tokenizer
from smalti.words import counted

NO_CLASS = -1
"""Label of images without classes."""


class CodeSample(NamedTuple):
    """The codes of an image, or as torch's `DataLoader` collates them, of B images."""

    codes: Tensor
    """(h, w) int64 in [0, K); in a batch (B, h, w)."""
    label: int
    """Class number, or -1 without classes; in a batch (B,) int64."""
    key: str
    """Path of the image, or its name in its data set; in a batch those of all."""


class ImageCodes(Dataset[CodeSample]):
    """Codes of images, each encoded when it is asked for: nothing is stored.

    The images of a batch are encoded together. An image that is broken is logged, and the next good
    one stands in its place, as in training. With a tokenizer on a graphics card the `DataLoader`
    must have no workers. Data that is read more than once is better encoded by `smalti encode
    --data` and read by `ShardCodes`.

    Args:
        tokenizer: the tokenizer, in eval mode.
        data: a data set or several, as for `--data`: a folder, a pattern, a list, Parquet files,
            tars, or one of the hub.
        size: height and width in pixels, or one number for both, multiples of f. A picture is
            shrunk until it just covers this size, and its centre is cropped.
        small: what to do with pictures smaller than `size`: `error` raises, `skip` takes them for
            broken, `enlarge` enlarges them.
        classes: whether to read the class of each image.

    Attributes:
        class_names: name of each class by its number, or None without classes.

    Raises:
        InputError: a data set does not exist, is empty or has no classes, or the size is not a
            multiple of f.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        data: str | Path | Sequence[str | Path],
        size: int | tuple[int, int],
        *,
        small: Literal["error", "skip", "enlarge"] = "error",
        classes: bool = False,
    ) -> None:
        transform = TransformConfig(
            size=sides_of(tokenizer, size), small=small, crop="center", flip=False
        )
        specs = [data] if isinstance(data, str | Path) else data
        content = tokenizer.content
        sources = [open_source(expand(str(spec)), classes, content.part) for spec in specs]
        self._images = ImageDataset(sources, transform, 0, content=content)
        self._tokenizer = tokenizer
        self.class_names = self._images.class_names

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> CodeSample:
        """Encode an image.

        Raises:
            InputError: it is smaller than the size, or all images are broken.
        """
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[CodeSample]:
        """Encode the images of a batch together; torch's `DataLoader` calls it."""
        samples = [self._images.sample(_place(index, len(self)), 0) for index in indices]
        batch = stack(samples)
        codes = self._tokenizer.encode_in_tiles(batch.images.to(self._tokenizer.device)).cpu()
        return [
            CodeSample(grid, NO_CLASS if one.label is None else one.label, one.key)
            for grid, one in zip(codes, samples, strict=True)
        ]


class ShardCodes(Dataset[CodeSample]):
    """Codes that `smalti encode --data` has written, read from mapped files as they are asked for.

    Shards of any number are read: neither memory nor the time to begin grows with the data, but for
    the manifest. A shard's hash is compared when its first row is read.

    Args:
        folder: what `smalti encode --data` made, with `--format safetensors`.
        view: number of the view, of `--crops` and `--flip`.

    Attributes:
        codebook_size: K.
        grid: h and w.
        class_names: name of each class by its number, or None without classes.
        views: number of views of each image.

    Raises:
        InputError: it is no such folder, is not finished, holds another format, or has no such
            view.
    """

    def __init__(self, folder: str | Path, view: int = 0) -> None:
        self._shards = CodeShards(Path(expand(str(folder))))
        encoding = self._shards.manifest.encoding
        self.codebook_size, self.grid = encoding.codebook_size, encoding.grid
        self.class_names, self.views = encoding.classes, len(encoding.views)
        if not 0 <= view < self.views:
            raise InputError(
                f"view is {view}, but {folder} has {counted(self.views, 'view')}, counted from 0"
            )
        self._view = view
        self._starts = np.cumsum([0, *self._shards.sizes])  # of each shard, and the total

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, index: int) -> CodeSample:
        """Read the codes of an image.

        Raises:
            InputError: its shard is missing, cut short or damaged.
        """
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[CodeSample]:
        """Read the codes of a batch; torch's `DataLoader` calls it."""
        rows = [self._row(_place(index, len(self))) for index in indices]
        found = self._shards.rows(rows, [self._view] * len(rows))
        none = torch.full((len(rows),), NO_CLASS)
        labels = (none if found.labels is None else found.labels).tolist()
        keys = [self._shards.key(row) for row in rows]
        return [CodeSample(*of_one) for of_one in zip(found.codes, labels, keys, strict=True)]

    def _row(self, place: int) -> Row:
        shard = int(np.searchsorted(self._starts, place, side="right")) - 1
        return Row(shard, place - int(self._starts[shard]))


def _place(index: int, length: int) -> int:
    """The place of an item, which may be counted from the end.

    Raises:
        IndexError: there is none, which also ends a loop over the items.
    """
    if not -length <= index < length:
        raise IndexError(f"item {index} of {length}")
    return index % length

"""The conditions that a user gives: words, files or pictures, for one condition or several."""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from smalti.config import InputError
from smalti.data.decode import BrokenImageError
from smalti.paths import expand
from smalti.registry import unknown_name

Item = str | int | Path | Image.Image
"""A class by name or number, the file of a picture or of keypoints, or a picture."""
Items = Item | Sequence[Item] | None
"""One item, or several that the images take in turn, or None for none."""
Asked = Items | Mapping[str, Items]
"""Items of a prior's only condition, or items by the kind of condition."""


def by_kind(asked: Asked, kinds: Sequence[str]) -> Mapping[str, Items]:
    """Sort what a user gives by the kind of condition.

    Args:
        asked: what the user gives.
        kinds: kinds of the prior's conditions that a user can give.

    Raises:
        InputError: a kind is unknown, or the kind is missing although there are several.
    """
    if asked is None:
        return {}
    if not isinstance(asked, Mapping):
        if not kinds:
            raise InputError(
                f"this prior knows no condition, so it cannot be asked for {asked!r}; leave the "
                "condition out"
            )
        if len(kinds) > 1:
            raise InputError(
                f"this prior has the conditions {', '.join(kinds)}: say which one {asked!r} is, as "
                f"in {kinds[0]}={asked}"
            )
        return {kinds[0]: asked}
    for kind in asked:
        if kind not in kinds:
            if not kinds:
                raise InputError(f"this prior was trained without conditions; leave {kind!r} out")
            raise unknown_name("condition of this prior", kind, kinds)
    return asked


def items_of(asked: Items) -> list[Item]:
    """The items of a list, or the only item."""
    if isinstance(asked, Sequence) and not isinstance(asked, str):
        return list(asked)
    return [] if asked is None else [asked]


def read_files(kind: str, asked: Items, count: int, read: Callable[[bytes, str], Tensor]) -> Tensor:
    """Read values (count, ...) from files or pictures, which the images take in turn.

    Args:
        kind: kind of the condition, for messages.
        asked: what the user gives.
        count: number of images.
        read: reads the values (...) of a file, from its bytes and its name for messages.

    Raises:
        InputError: nothing is given, a file does not exist or cannot be read, or the values have
            different sizes.
    """
    if asked is None:
        raise InputError(f"this prior needs the condition {kind}: give a file (--condition FILE)")
    values = [_read(item, read) for item in items_of(asked)]
    if not values:
        raise InputError(f"the list of conditions {kind} is empty; name at least one")
    shapes = {tuple(value.shape) for value in values}
    if len(shapes) > 1:
        sizes = " and ".join(sorted(f"{shape[-2]}x{shape[-1]}" for shape in shapes))
        raise InputError(f"the pictures of the condition {kind} differ in size: {sizes}")
    return torch.stack([values[number % len(values)] for number in range(count)])


def _read(item: Item, read: Callable[[bytes, str], Tensor]) -> Tensor:
    if isinstance(item, Image.Image):
        file = BytesIO()
        item.save(file, "PNG")
        return read(file.getvalue(), "the given picture")
    path = Path(expand(str(item)))
    if not path.is_file():
        raise InputError(f"the condition {path} does not exist, or is no file")
    try:
        return read(path.read_bytes(), str(path))
    except BrokenImageError as error:
        raise InputError(f"the condition {error}") from error

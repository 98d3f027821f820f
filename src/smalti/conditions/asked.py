"""What a user asks for -> values of the prior's conditions.

Axes: n images, H/W size in pixels.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from numbers import Integral
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from smalti.conditions import (
    ClassLabel,
    ConditionConfig,
    KeypointsConfig,
    LowResolutionConfig,
    SpatialConfig,
)
from smalti.conditions.conditioning import Conditioning
from smalti.config import InputError
from smalti.data.decode import BrokenImageError
from smalti.data.pairing import (
    DepthPair,
    EdgesPair,
    KeypointsPair,
    LowResolutionPair,
    Paired,
    SegmentationPair,
    whole_coordinate_map,
)
from smalti.paths import expand
from smalti.registry import unknown_name

Item = str | int | Path | Image.Image
"""A class by name or number; the file of a picture or of keypoints; or a picture."""
Asked = Item | Sequence[Item] | None
Condition = Asked | Mapping[str, Asked]
"""One condition's items, taken in turn; or those of several conditions, by kind."""

FOUND = ("none", "coordinates", "coordinate_map")
"""Conditions that nobody is asked for."""
PAIRS: Mapping[str, Any] = {
    "segmentation": SegmentationPair,
    "depth": DepthPair,
    "edges": EdgesPair,
}
"""How to read the pictures of conditions that lie beside the images, or are found in them."""


def read_values(conditioning: Conditioning, condition: Condition, count: int) -> dict[str, Tensor]:
    """Values (count, ...) of each condition, by kind.

    Args:
        conditioning: of the prior.
        condition: what the user asked for.
        count: number of images.

    Returns:
        All but the coordinate map, which follows from the size; see `with_map`.

    Raises:
        InputError: a condition is missing, unknown to the prior, or cannot be read; or its pictures
            are of different sizes.
    """
    asked = _by_kind(conditioning, condition)
    values = {}
    for conditioner in conditioning.conditioners:
        request = asked.get(conditioner.kind)
        if isinstance(conditioner, ClassLabel):
            values["class"] = conditioner.labels(_classes(request), count)
        elif conditioner.kind in ("none", "coordinates"):
            columns = 0 if conditioner.kind == "none" else 2
            values[conditioner.kind] = torch.zeros(count, columns)
        elif conditioner.kind != "coordinate_map":
            values[conditioner.kind] = _read_files(conditioner.config, request, count)
    return values


def with_map(
    conditioning: Conditioning, values: Mapping[str, Tensor], count: int, size: tuple[int, int]
) -> dict[str, Tensor]:
    """Values with the coordinate map of a canvas of a size in pixels, if the prior has one."""
    if "coordinate_map" not in conditioning.kinds:
        return dict(values)
    coordinate_map = whole_coordinate_map(*size).expand(count, -1, -1, -1)
    return {**values, "coordinate_map": coordinate_map}


def picture_size(
    conditioning: Conditioning, values: Mapping[str, Tensor]
) -> tuple[int, int] | None:
    """Height and width in pixels of the conditions that are pictures, or None without any.

    Raises:
        InputError: two of them differ.
    """
    sizes = {
        conditioner.kind: (values[conditioner.kind].shape[-2], values[conditioner.kind].shape[-1])
        for conditioner in conditioning.conditioners
        if isinstance(conditioner.config, SpatialConfig)
    }
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{kind} {height}x{width}" for kind, (height, width) in sizes.items())
        raise InputError(f"the conditions are of different sizes (height x width): {listed}")
    return next(iter(sizes.values()), None)


def _by_kind(conditioning: Conditioning, condition: Condition) -> Mapping[str, Asked]:
    known = [kind for kind in conditioning.kinds if kind not in FOUND]
    if condition is None:
        return {}
    if not isinstance(condition, Mapping):
        if not known:
            raise InputError(
                f"this prior knows no condition, so it cannot be asked for {condition!r}; leave "
                "the condition out"
            )
        if len(known) > 1:
            raise InputError(
                f"this prior has the conditions {', '.join(known)}: say which one "
                f"{condition!r} is, as in {known[0]}={condition}"
            )
        return {known[0]: condition}
    for kind in condition:
        if kind not in known:
            if not known:
                raise InputError(f"this prior was trained without conditions; leave {kind!r} out")
            raise unknown_name("condition of this prior", kind, known)
    return condition


def _classes(request: Asked) -> list[str | int] | None:
    """Classes that were asked for, which are no pictures; None where none was."""
    if request is None:
        return None
    is_list = isinstance(request, Sequence) and not isinstance(request, str)
    return [_class(item) for item in (request if is_list else [request])]  # type: ignore[union-attr]


def _class(item: object) -> str | int:
    if isinstance(item, str):
        return item
    if isinstance(item, Integral) and not isinstance(item, bool):  # NumPy's integers too
        return int(item)
    raise InputError(f"the condition class is a name or a number, got {item}")


def _read_files(config: ConditionConfig, request: Asked, count: int) -> Tensor:
    if request is None:
        raise InputError(
            f"this prior needs the condition {config.kind}: give a file (--condition FILE)"
        )
    one = isinstance(request, str | int | Path | Image.Image)
    items: Sequence[Any] = [request] if one else list(request)  # type: ignore[arg-type]
    if not items:
        raise InputError(f"the list of conditions {config.kind} is empty; name at least one")
    pair = _pair(config)
    read = [_read(pair, item) for item in items]
    shapes = {tuple(tensor.shape) for tensor in read}
    if len(shapes) > 1:
        sizes = " and ".join(sorted(f"{shape[-2]}x{shape[-1]}" for shape in shapes))
        raise InputError(f"the pictures of the condition {config.kind} differ in size: {sizes}")
    return torch.stack([read[number % len(read)] for number in range(count)])


def _pair(config: ConditionConfig) -> Paired:
    if isinstance(config, LowResolutionConfig):
        return LowResolutionPair(config.factor, config.content)
    if isinstance(config, KeypointsConfig):
        return KeypointsPair(config.joints)
    assert isinstance(config, SpatialConfig)
    pair: Paired = PAIRS[config.kind](config.content)
    return pair


def _read(pair: Paired, item: Item) -> Tensor:
    if isinstance(item, Image.Image):
        file = BytesIO()
        item.save(file, "PNG")
        return pair.read(file.getvalue(), "the given picture")
    path = Path(expand(str(item)))
    if not path.is_file():
        raise InputError(f"the condition {path} does not exist, or is no file")
    try:
        return pair.read(path.read_bytes(), str(path))
    except BrokenImageError as error:
        raise InputError(f"the condition {error}") from error

"""Reads the shape of a network from the names and shapes of its tensors."""

import re
from collections.abc import Mapping

from torch import Tensor

from smalti.config import InputError


def numbers(tensors: Mapping[str, Tensor], pattern: str) -> set[int]:
    """Values of a pattern's only group among the names."""
    return {int(found[1]) for name in tensors if (found := re.match(pattern, name))}


def shape_of(tensors: Mapping[str, Tensor], name: str, dimensions: int) -> tuple[int, ...]:
    """Shape of a tensor with so many dimensions.

    Raises:
        InputError: it has another number of dimensions, or none of its numbers.
        KeyError: the tensor is missing.
    """
    shape = tuple(tensors[name].shape)
    if len(shape) != dimensions or 0 in shape:
        raise InputError(f"not a whole VQGAN: {name} has the shape {shape}")
    return shape


def multiplier(tensors: Mapping[str, Tensor], name: str, channels: int) -> int:
    """Output channels of a convolution, relative to those of the first one.

    Raises:
        InputError: they are no multiple of them.
        KeyError: the tensor is missing.
    """
    width, *_ = shape_of(tensors, name, dimensions=4)
    if width % channels:
        raise InputError(
            f"not a VQGAN of ours: {name} has {width} channels, no multiple of the first "
            f"convolution's {channels}"
        )
    return width // channels

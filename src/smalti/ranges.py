"""Converts uint8 [0, 255] and uint16 [0, 65535] to float32 [-1, 1] and back, for all modules."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


def from_pil(picture: Image.Image) -> Tensor:
    """Convert an RGB picture to an image (3, H, W) float32 in [-1, 1]."""
    if picture.mode != "RGB":
        raise ValueError(f"picture must be RGB, got mode {picture.mode}")
    return from_uint8(torch.from_numpy(np.array(picture)).permute(2, 0, 1))


def to_pil(image: Tensor) -> Image.Image:
    """Convert an image (3, H, W) float in [-1, 1] to an RGB picture; values outside are clipped."""
    array: NDArray[np.uint8] = to_uint8(image).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(array)


def from_uint8(values: Tensor) -> Tensor:
    """Convert uint8 in [0, 255], any shape, to float32 in [-1, 1]."""
    return values.to(torch.float32) / 127.5 - 1.0


def to_uint8(values: Tensor) -> Tensor:
    """Convert floats in [-1, 1], any shape, to rounded uint8; values outside are clipped."""
    return ((values.float().clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)


def from_uint16(values: Tensor) -> Tensor:
    """Convert numbers in [0, 65535], any shape, whole or not, to float32 in [-1, 1]."""
    return values.to(torch.float32) / 32767.5 - 1.0


def to_uint16(values: Tensor, top: int = 65535) -> Tensor:
    """Convert floats in [-1, 1], any shape, to rounded uint16 in [0, top]; others are clipped.

    With the default top it is the inverse of `from_uint16` for whole numbers.
    """
    return ((values.float().clamp(-1.0, 1.0) + 1.0) * (top / 2)).round().to(torch.uint16)

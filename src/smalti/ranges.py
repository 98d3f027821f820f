"""uint8 [0, 255] or uint16 [0, 65535] <-> float32 [-1, 1]; the only place that knows."""

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


def from_pil(picture: Image.Image) -> Tensor:
    """Image (3, H, W) float32 in [-1, 1] of an RGB picture."""
    if picture.mode != "RGB":
        raise ValueError(f"picture must be RGB, got mode {picture.mode}")
    return from_uint8(torch.from_numpy(np.array(picture)).permute(2, 0, 1))


def to_pil(image: Tensor) -> Image.Image:
    """RGB picture of an image (3, H, W) float in [-1, 1]; values outside are clipped."""
    array: NDArray[np.uint8] = to_uint8(image).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(array)


def from_uint8(values: Tensor) -> Tensor:
    """float32 in [-1, 1] of uint8 in [0, 255], any shape."""
    return values.to(torch.float32) / 127.5 - 1.0


def to_uint8(values: Tensor) -> Tensor:
    """uint8 in [0, 255] of floats in [-1, 1], any shape, rounded; values outside are clipped."""
    return ((values.float().clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)


def from_uint16(values: Tensor) -> Tensor:
    """float32 in [-1, 1] of numbers in [0, 65535], whole or between two, any shape."""
    return values.to(torch.float32) / 32767.5 - 1.0


def to_uint16(values: Tensor, top: int = 65535) -> Tensor:
    """uint16 in [0, top] of floats in [-1, 1], any shape, rounded; values outside are clipped.

    With the default top every whole number comes back from `from_uint16` as it was.
    """
    return ((values.float().clamp(-1.0, 1.0) + 1.0) * (top / 2)).round().to(torch.uint16)

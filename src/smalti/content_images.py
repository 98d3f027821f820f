"""Images of each kind of content: their tensors, their form in a network, their pictures.

Axes: B batch, C channels of the network, H/W image size in pixels.
"""

import abc
import colorsys
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from smalti.config import InputError
from smalti.content import (
    DEEP_TOP,
    IGNORED,
    UNLABELLED,
    ContentConfig,
    DepthContent,
    EdgesContent,
    LabelsContent,
    RGBContent,
)
from smalti.ranges import to_pil, to_uint8, to_uint16
from smalti.registry import Registry

MOST_COLOURS = 256  # of a picture with a palette

C = TypeVar("C", bound=ContentConfig)


class ContentImages(abc.ABC, Generic[C]):
    """Checks and converts images of a content; every kind is built as `kind(content)`."""

    def __init__(self, content: C) -> None:
        self.content = content

    def blank(self, count: int, height: int, width: int) -> Tensor:
        """Make images (count, ...) of zeros."""
        return torch.zeros(count, self.content.channels, height, width)

    def check(self, images: Tensor) -> None:
        """Refuse tensors whose shape is not that of this kind of images.

        Raises:
            InputError: the tensor has another number of channels.
        """
        channels = self.content.channels
        if not isinstance(images, Tensor):
            raise InputError(
                f"images must be a tensor, got {type(images).__name__}; smalti.encode_pictures "
                "takes pictures, arrays and paths"
            )
        if images.ndim != 4 or images.shape[1] != channels:
            raise InputError(
                f"images of this tokenizer have {channels} channels, (B, {channels}, H, "
                f"W), got a tensor of shape {tuple(images.shape)}"
            )

    def check_values(self, images: Tensor) -> None:
        """Refuse values that the encoder would misread; this waits for the device."""

    def to_input(self, images: Tensor) -> Tensor:
        """Make the encoder's input (B, C, H, W), floating point, of images."""
        return images

    def to_images(self, outputs: Tensor) -> Tensor:
        """Make images of the decoder's outputs (B, C, H, W), about in [-1, 1] or logits."""
        return outputs.float().clamp(-1.0, 1.0)

    @abc.abstractmethod
    def to_picture(self, image: Tensor) -> Image.Image:
        """Make the picture of an image that is saved: it keeps every value."""

    def draw(self, image: Tensor) -> Image.Image:
        """Make an RGB picture of an image, to look at."""
        return self.to_picture(image).convert("RGB")


CONTENT_IMAGES: Registry[ContentImages[Any]] = Registry("content")


def content_images(content: ContentConfig) -> ContentImages[Any]:
    """The object that checks and converts images of a content."""
    return CONTENT_IMAGES.build(content)


@CONTENT_IMAGES.register("rgb")
class Photographs(ContentImages[RGBContent]):
    """Photographs: (B, 3, H, W) float32 in [-1, 1]."""

    def to_picture(self, image: Tensor) -> Image.Image:
        """Make an 8-bit RGB picture of an image (3, H, W)."""
        return to_pil(image)


@CONTENT_IMAGES.register("depth")
class DepthMaps(ContentImages[DepthContent]):
    """Maps of one channel: (B, 1, H, W) float32 in [-1, 1]."""

    def to_picture(self, image: Tensor) -> Image.Image:
        """Make a 16-bit greyscale picture of an image (1, H, W)."""
        top = DEEP_TOP if self.content.white_level is None else self.content.white_level
        return Image.fromarray(to_uint16(image[0], top).cpu().numpy())

    def draw(self, image: Tensor) -> Image.Image:
        """Make a grey picture of an image (1, H, W)."""
        return Image.fromarray(to_uint8(image[0]).cpu().numpy()).convert("RGB")


@CONTENT_IMAGES.register("edges")
class EdgeMaps(ContentImages[EdgesContent]):
    """Edges: (B, 1, H, W) float32, 1 on an edge and -1 elsewhere."""

    def to_picture(self, image: Tensor) -> Image.Image:
        """Make an 8-bit greyscale picture of an image (1, H, W)."""
        return Image.fromarray(to_uint8(image[0]).cpu().numpy())


@CONTENT_IMAGES.register("labels")
class LabelMaps(ContentImages[LabelsContent]):
    """Label maps: (B, H, W) int64, a class in [0, classes) or `IGNORED` at each pixel."""

    def blank(self, count: int, height: int, width: int) -> Tensor:
        """Make label maps (count, height, width) of zeros."""
        return torch.zeros(count, height, width, dtype=torch.int64)

    def check(self, images: Tensor) -> None:
        """Refuse tensors whose shape or dtype is not that of label maps.

        Raises:
            InputError: the tensor has channels, or is not of integers.
        """
        if images.ndim != 3 or images.dtype != torch.int64:
            raise InputError(
                "images of this tokenizer are label maps, (B, H, W) int64, got a tensor of shape "
                f"{tuple(images.shape)} and {str(images.dtype).removeprefix('torch.')}"
            )

    def check_values(self, images: Tensor) -> None:
        """Refuse labels that are no class.

        Raises:
            InputError: a label is outside [0, classes) and not `IGNORED`.
        """
        lowest, highest = int(images.min()), int(images.max())
        if not IGNORED <= lowest <= highest < self.content.classes:
            raise InputError(
                f"labels must be in [0, {self.content.classes}), or {IGNORED} where ignored; got "
                f"{lowest} to {highest}"
            )

    def to_input(self, images: Tensor) -> Tensor:
        """Make one-hot vectors (B, classes, H, W) float32 of label maps (B, H, W)."""
        labels = torch.arange(self.content.classes, device=images.device)
        return (images[:, None] == labels[:, None, None]).float()

    def to_images(self, outputs: Tensor) -> Tensor:
        """Choose the likeliest label (B, H, W) int64 by logits (B, classes, H, W)."""
        return outputs.argmax(1)

    def from_numbers(self, numbers: NDArray[np.integer], key: str) -> NDArray[np.int32]:
        """Turn the numbers (H, W) of a file into labels (H, W) int32, classes or `IGNORED`.

        Raises:
            InputError: a number stands for no class; `key` names the file.
        """
        shift = self.content.shift
        special = UNLABELLED if shift else self.content.ignore
        is_special = numbers == special
        most = self.content.classes - 1 - shift
        is_wrong = ((numbers < 0) | (numbers > most)) & ~is_special
        if is_wrong.any():
            unlabelled = "none" if special is None else special
            raise InputError(
                f"{key} has label {numbers[is_wrong].max()}; allowed are 0 to {most} "
                f"(content.classes), and {unlabelled} for unlabelled "
                f"(content.{'shift' if shift else 'ignore'})"
            )
        labels = numbers.astype(np.int32) + shift
        labels[is_special] = 0 if shift else IGNORED
        return labels

    def to_picture(self, image: Tensor) -> Image.Image:
        """Make a picture whose values are the numbers that a file has for the labels (H, W).

        It has a palette, or 16 bits for many classes. Ignored pixels get the number of `ignore`.
        """
        shift = self.content.shift
        unlabelled = UNLABELLED if shift else self.content.ignore or 0
        labels = image.cpu().numpy()
        numbers = np.where(labels < shift, unlabelled, labels - shift)
        if max(self.content.classes, unlabelled + 1) > MOST_COLOURS:
            return Image.fromarray(numbers.astype(np.uint16))
        picture = Image.fromarray(numbers.astype(np.uint8), mode="P")
        # A class has the same colour as in `draw`.
        picture.putpalette(np.roll(label_colours(MOST_COLOURS), -shift, axis=0).tobytes())
        return picture

    def draw(self, image: Tensor) -> Image.Image:
        """Draw a map (H, W) with a colour for each label; ignored pixels are white."""
        labels = image.cpu().numpy()
        colours = label_colours(self.content.classes)[np.maximum(labels, 0)]
        colours[labels == IGNORED] = 255
        return Image.fromarray(colours)


def label_colours(count: int) -> NDArray[np.uint8]:
    """Colours (count, 3) uint8 of labels, the same for a label whatever the count.

    Neighbouring labels differ much: each hue is a golden section of the circle further, and the
    brightness takes turns.
    """
    colours = [
        colorsys.hsv_to_rgb(
            label * 0.618034 % 1.0, 0.55 + 0.15 * (label % 4), 1 - 0.2 * (label % 3)
        )
        for label in range(count)
    ]
    return (np.array(colours) * 255).round().astype(np.uint8)

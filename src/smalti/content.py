"""What a tokenizer's images are: photographs, label maps, depth maps or edges.

Each kind says what its image tensors look like, how they enter and leave a network, and what
picture one of them is.

Axes: B batch, C channels of the network, H/W image size in pixels.
Reference: Esser et al. 2021, arXiv:2012.09841, Sec. 4.2: conditions are spatial maps, which a
    second VQGAN turns into codes.
"""

import abc
import colorsys
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor

from smalti.config import Config, InputError
from smalti.ranges import to_pil, to_uint8, to_uint16

IGNORED = -1
"""What a label map holds where its label is to be ignored, whatever number its file has there."""
UNLABELLED = 255
"""What a file has at unlabelled pixels, where its numbers are shifted."""
MOST_COLOURS = 256  # of a picture with a palette
DEEP_TOP = 65535  # the largest number of 16 bits


class _Content(Config, abc.ABC):
    """What every kind of content is."""

    part: ClassVar[str]
    """Folder that holds such files where a data set keeps several kinds of files side by side."""

    @property
    @abc.abstractmethod
    def channels(self) -> int:
        """C, channels of the encoder's input and the decoder's output."""

    def blank(self, count: int, height: int, width: int) -> Tensor:
        """Images (count, ...) of zeros, for what depends on their form only."""
        return torch.zeros(count, self.channels, height, width)

    def check(self, images: Tensor) -> None:
        """Refuse tensors that are no images of this kind; looks at the shape only.

        Raises:
            InputError: the number of channels is another.
        """
        if images.ndim != 4 or images.shape[1] != self.channels:
            raise InputError(
                f"images of this tokenizer have {self.channels} channels, (B, {self.channels}, H, "
                f"W), got a tensor of shape {tuple(images.shape)}"
            )

    def check_values(self, images: Tensor) -> None:
        """Refuse values that the encoder would misread; waits for the device."""

    def to_input(self, images: Tensor) -> Tensor:
        """What the encoder sees, (B, C, H, W) floating point, of images."""
        return images

    def to_images(self, outputs: Tensor) -> Tensor:
        """Images of the decoder's outputs (B, C, H, W), about [-1, 1] or logits."""
        return outputs.float().clamp(-1.0, 1.0)

    @abc.abstractmethod
    def to_picture(self, image: Tensor) -> Image.Image:
        """The picture to keep of one image: every value is intact in it."""

    def draw(self, image: Tensor) -> Image.Image:
        """The RGB picture to look at of one image."""
        return self.to_picture(image).convert("RGB")


class _PhotographContent(_Content):
    """What is read from photographs."""

    white_level: int | None = Field(default=None, ge=1, le=DEEP_TOP)
    """Stored value that is white in greyscale files of more than 8 bits, 4095 for 12-bit data; null
    is the largest that the file has room for. Higher values become white too."""


class RGBContent(_PhotographContent):
    """Photographs: (B, 3, H, W) float32 in [-1, 1]."""

    kind: Literal["rgb"] = "rgb"
    part: ClassVar[str] = "images"

    @property
    def channels(self) -> int:
        """Red, green and blue."""
        return 3

    def to_picture(self, image: Tensor) -> Image.Image:
        """8-bit RGB picture of an image (3, H, W)."""
        return to_pil(image)


class DepthContent(_Content):
    """Depth, or another map of one channel: (B, 1, H, W) float32 in [-1, 1].

    -1 and 1 are 0 and 65535 of a 16-bit picture, whose values are told apart; with a white level,
    0 and that level.
    """

    kind: Literal["depth"] = "depth"
    white_level: int | None = Field(default=None, ge=1, le=DEEP_TOP)
    """Stored value that means the upper end of the range, as 10000 for millimetres up to 10 m; null
    is the largest that the file has room for (255, 65535). Higher values mean the upper end too,
    and floats are then not stretched."""
    part: ClassVar[str] = "depths"

    @property
    def channels(self) -> int:
        """One."""
        return 1

    def to_picture(self, image: Tensor) -> Image.Image:
        """16-bit greyscale picture of an image (1, H, W)."""
        top = DEEP_TOP if self.white_level is None else self.white_level
        return Image.fromarray(to_uint16(image[0], top).cpu().numpy())

    def draw(self, image: Tensor) -> Image.Image:
        """Grey picture of an image (1, H, W)."""
        return Image.fromarray(to_uint8(image[0]).cpu().numpy()).convert("RGB")


class EdgesContent(_PhotographContent):
    """Edges of photographs: (B, 1, H, W) float32, 1 on an edge and -1 elsewhere.

    They are found in the photographs as they are read. Reconstructions lie in between.
    """

    kind: Literal["edges"] = "edges"
    sigma: float = Field(default=1.0, gt=0)
    """Width in pixels of the blur before edges are found; more finds fewer."""
    part: ClassVar[str] = "images"

    @property
    def channels(self) -> int:
        """One."""
        return 1

    def to_picture(self, image: Tensor) -> Image.Image:
        """8-bit greyscale picture of an image (1, H, W)."""
        return Image.fromarray(to_uint8(image[0]).cpu().numpy())


class LabelsContent(_Content):
    """Label maps: (B, H, W) int64, a class in [0, classes) or `IGNORED` at each pixel.

    They enter the network as one-hot vectors (all zero where ignored) and leave it as logits.
    """

    kind: Literal["labels"] = "labels"
    classes: int = Field(ge=2, le=2**16)
    """Number of classes; labels are 0 to classes - 1."""
    ignore: int | None = Field(default=None, ge=0, lt=2**16)
    """Label that stands for unlabelled pixels (255 in COCO-Stuff); null where there is none. It
    counts neither in the loss nor in the evaluation."""
    shift: bool = False
    """Number n of a file is class n + 1, and 255 (unlabelled) is class 0, as the released code
    reads COCO-Stuff: 182 labels are 183 classes. Not together with `ignore`."""
    part: ClassVar[str] = "segmentations"

    @model_validator(mode="after")
    def _shift_fits(self) -> Self:
        if self.shift and self.ignore is not None:
            raise ValueError(
                f"ignore {self.ignore} does not fit shift, which makes unlabelled pixels class 0"
            )
        if self.shift and self.classes > UNLABELLED + 1:
            raise ValueError(
                f"classes {self.classes} are too many for shift: at most {UNLABELLED + 1}, as "
                f"number {UNLABELLED} of a file stands for unlabelled"
            )
        return self

    @property
    def channels(self) -> int:
        """One for each class."""
        return self.classes

    def blank(self, count: int, height: int, width: int) -> Tensor:
        """Label maps (count, height, width) of zeros."""
        return torch.zeros(count, height, width, dtype=torch.int64)

    def check(self, images: Tensor) -> None:
        """Refuse tensors that are no label maps; looks at shape and dtype only.

        Raises:
            InputError: it has channels, or is not of integers.
        """
        if images.ndim != 3 or images.dtype != torch.int64:
            raise InputError(
                "this tokenizer is one of label maps, (B, H, W) int64, got a tensor of shape "
                f"{tuple(images.shape)} and {str(images.dtype).removeprefix('torch.')}"
            )

    def check_values(self, images: Tensor) -> None:
        """Refuse labels that are no class.

        Raises:
            InputError: a label is outside [0, classes) and not `IGNORED`.
        """
        lowest, highest = int(images.min()), int(images.max())
        if not IGNORED <= lowest <= highest < self.classes:
            raise InputError(
                f"labels must be in [0, {self.classes}), or {IGNORED} where ignored; got "
                f"{lowest} to {highest}"
            )

    def to_input(self, images: Tensor) -> Tensor:
        """One-hot vectors (B, classes, H, W) float32 of label maps (B, H, W)."""
        labels = torch.arange(self.classes, device=images.device)
        return (images[:, None] == labels[:, None, None]).float()

    def to_images(self, outputs: Tensor) -> Tensor:
        """The likeliest label (B, H, W) int64 of logits (B, classes, H, W)."""
        return outputs.argmax(1)

    def from_numbers(self, numbers: NDArray[np.integer], key: str) -> NDArray[np.int32]:
        """Labels (H, W) int32, a class or `IGNORED`, of the numbers (H, W) in a file.

        Raises:
            InputError: a number stands for no class; `key` names the file.
        """
        special = UNLABELLED if self.shift else self.ignore
        is_special = numbers == special
        most = self.classes - 1 - self.shift
        is_wrong = ((numbers < 0) | (numbers > most)) & ~is_special
        if is_wrong.any():
            unlabelled = "none" if special is None else special
            raise InputError(
                f"{key} has label {numbers[is_wrong].max()}; allowed are 0 to {most} "
                f"(content.classes), and {unlabelled} for unlabelled "
                f"(content.{'shift' if self.shift else 'ignore'})"
            )
        labels = numbers.astype(np.int32) + self.shift
        labels[is_special] = 0 if self.shift else IGNORED
        return labels

    def to_picture(self, image: Tensor) -> Image.Image:
        """Picture whose values are the numbers that a file has for the labels (H, W).

        With a palette, or 16-bit for many classes. Ignored pixels get the number of `ignore`.
        """
        labels = image.cpu().numpy()
        numbers = np.where(labels < self.shift, self._unlabelled_number, labels - self.shift)
        if max(self.classes, self._unlabelled_number + 1) > MOST_COLOURS:
            return Image.fromarray(numbers.astype(np.uint16))
        picture = Image.fromarray(numbers.astype(np.uint8), mode="P")
        # A class has the same colour as in `draw`.
        picture.putpalette(np.roll(label_colours(MOST_COLOURS), -self.shift, axis=0).tobytes())
        return picture

    def draw(self, image: Tensor) -> Image.Image:
        """A colour for each label of a map (H, W); ignored pixels are white."""
        labels = image.cpu().numpy()
        colours = label_colours(self.classes)[np.maximum(labels, 0)]
        colours[labels == IGNORED] = 255
        return Image.fromarray(colours)

    @property
    def _unlabelled_number(self) -> int:
        return UNLABELLED if self.shift else self.ignore or 0


ContentConfig = Annotated[
    RGBContent | LabelsContent | DepthContent | EdgesContent, Field(discriminator="kind")
]


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

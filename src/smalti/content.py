"""Configs of what a tokenizer's images are: photographs, label maps, depth or edges.

Imports no torch; `content_images` has the tensors and pictures.

Axes: B batch, C channels of the network, H/W image size in pixels.
Reference: Esser et al. 2021, arXiv:2012.09841, Sec. 4.2: conditions are spatial maps, which a
    second VQGAN turns into codes.
"""

import abc
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from smalti.config import Config

IGNORED = -1
"""Value of ignored pixels in a label map, whatever number its file has there."""
UNLABELLED = 255
"""Number of unlabelled pixels in a file whose numbers are shifted."""
DEEP_TOP = 65535  # the largest number of 16 bits


class _Content(Config, abc.ABC):
    """Base class of the kinds of content."""

    part: ClassVar[str]
    """Folder of such files in a data set that has several kinds of files side by side."""

    @property
    @abc.abstractmethod
    def channels(self) -> int:
        """C, channels of the encoder's input and the decoder's output."""


class _PhotographContent(_Content):
    """Base class of contents that are read from photographs."""

    white_level: int | None = Field(default=None, ge=1, le=DEEP_TOP)
    """Stored value that is white in greyscale files of more than 8 bits, 4095 for 12-bit data; null
    is the largest that the file has room for. Higher values become white too."""


class RGBContent(_PhotographContent):
    """Photographs: (B, 3, H, W) float32 in [-1, 1]."""

    kind: Literal["rgb"] = "rgb"
    part: ClassVar[str] = "images"
    channels: ClassVar[int] = 3


class DepthContent(_Content):
    """Depth, or another map of one channel: (B, 1, H, W) float32 in [-1, 1].

    -1 and 1 stand for 0 and 65535 of a 16-bit picture or, with a white level, for 0 and that level.
    """

    kind: Literal["depth"] = "depth"
    white_level: int | None = Field(default=None, ge=1, le=DEEP_TOP)
    """Stored value that is the upper end of the range, such as 10000 for millimetres up to 10 m;
    null is the largest that the file has room for (255, 65535). Higher values count as the upper
    end too. With a white level, floats are not stretched."""
    part: ClassVar[str] = "depths"
    channels: ClassVar[int] = 1


class EdgesContent(_PhotographContent):
    """Edges of photographs: (B, 1, H, W) float32, 1 on an edge and -1 elsewhere.

    They are found when the photographs are read. Reconstructions have values in between.
    """

    kind: Literal["edges"] = "edges"
    sigma: float = Field(default=1.0, gt=0)
    """Width in pixels of the blur before edges are found; a wider blur leaves fewer edges."""
    part: ClassVar[str] = "images"
    channels: ClassVar[int] = 1


class LabelsContent(_Content):
    """Label maps: (B, H, W) int64, a class in [0, classes) or `IGNORED` at each pixel.

    They enter the network as one-hot vectors (all zero where ignored) and leave it as logits.
    """

    kind: Literal["labels"] = "labels"
    classes: int = Field(ge=2, le=2**16)
    """Number of classes; labels are 0 to classes - 1."""
    ignore: int | None = Field(default=None, ge=0, lt=2**16)
    """Label of unlabelled pixels (255 in COCO-Stuff), which count neither in the loss nor in the
    evaluation; null if there is no such label."""
    shift: bool = False
    """Whether number n of a file is class n + 1, and 255 (unlabelled) is class 0, as the released
    code reads COCO-Stuff: 182 labels are 183 classes. It cannot be set together with `ignore`."""
    class_names: tuple[str, ...] | None = Field(
        default=None, exclude_if=lambda names: names is None
    )
    """Name of each class by its number, for people; null takes the lines of the file classes.txt
    beside the maps, if there is one."""
    part: ClassVar[str] = "segmentations"

    @model_validator(mode="after")
    def _each_class_is_named(self) -> Self:
        names = self.class_names
        if names is not None and len(names) != self.classes:
            raise ValueError(
                f"class-names has {len(names)} names, but there are {self.classes} classes"
            )
        return self

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
        """C is the number of classes."""
        return self.classes


ContentConfig = Annotated[
    RGBContent | LabelsContent | DepthContent | EdgesContent, Field(discriminator="kind")
]

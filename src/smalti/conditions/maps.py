"""Conditions on maps of the scene: label maps, depth maps and edges.

H, W: size of the image in pixels.
Reference: arXiv:2012.09841, Sec. 4.2: semantic image synthesis, depth-to-image, edge-guided
    synthesis.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from smalti.conditions.base import CONDITIONS, Setup
from smalti.conditions.grid import S, SpatialCondition, SpatialConfig
from smalti.content import ContentConfig, DepthContent, LabelsContent
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.decode import PixelSize, read_header
from smalti.data.pairing.base import FilePair, MadePair, Paired, require_photographs
from smalti.data.readers import reader_of
from smalti.data.transforms import Crop
from smalti.data.upright import upright
from smalti.words import first_names

DRAWING_MODES = ("1", "L", "LA", "P", "PA", "I", "I;16", "I;16B")
"""Colour layouts, by Pillow's names, of pictures that are drawings rather than photographs."""
HALF = 127


class SegmentationConfig(SpatialConfig):
    """Options of the condition `segmentation`: the content and the grid of its codes."""

    kind: Literal["segmentation"] = "segmentation"


class DepthConfig(SpatialConfig):
    """Options of the condition `depth`: the content and the grid of its codes."""

    kind: Literal["depth"] = "depth"


class EdgesConfig(SpatialConfig):
    """Options of the condition `edges`: the content and the grid of its codes."""

    kind: Literal["edges"] = "edges"


class MapPair(FilePair[Image.Image]):
    """A map beside each image, of the image's size; the content says what the maps are."""

    def __init__(self, content: ContentConfig) -> None:
        self._reader = reader_of(content)

    def decode(self, content: bytes, key: str) -> Image.Image:
        """Decode the map into a picture with its values; see the reader of the content."""
        return self._reader.decode(content, key)

    def size(self, decoded: Image.Image) -> PixelSize:
        """The size of the map."""
        return PixelSize(*decoded.size)

    def turned(self, decoded: Image.Image, orientation: int) -> Image.Image:
        """Turn the map as its image is turned."""
        return upright(decoded, orientation)

    def cut(self, decoded: Image.Image, size: PixelSize, crop: Crop) -> Tensor:
        """Cut the map of the crop, as the content says."""
        return crop.image(decoded, self._reader)


class SegmentationPair(MapPair):
    """Label maps in `segmentations/` or a column `segmentation`: (H, W) int64."""

    kind = "segmentation"
    part = LabelsContent.part


class DepthPair(MapPair):
    """Depth maps in `depths/` or a column `depth`: (1, H, W) float32 in [-1, 1]."""

    kind = "depth"
    part = DepthContent.part


class EdgesPair(MadePair):
    """The edges of the crop of the image: (1, H, W) float32, 1 on an edge, else -1."""

    kind = "edges"

    def __init__(self, content: ContentConfig) -> None:
        self._reader = reader_of(content)

    def check(self, content: ContentConfig, transform: TransformConfig) -> None:
        """Refuse images that are no photographs."""
        require_photographs(content, self.kind)

    def make(self, cropped: Image.Image, crop: Crop) -> Tensor:
        """Find the edges (1, H, W) of the RGB crop."""
        return crop.to_image(cropped, self._reader)


class MapCondition(SpatialCondition[S]):
    """A map of the scene; the content of its tokenizer decides how it is read and configured."""

    config_type: ClassVar[type[SpatialConfig]]
    """Class of the condition's config."""
    pair_type: ClassVar[type[MapPair] | type[EdgesPair]]
    """Class that reads the map with each image; it is built with the content of the maps."""

    @classmethod
    def pair(cls, setup: Setup) -> Paired:
        """Read the map of each image."""
        return cls.pair_type(cls.tokenizer_of(setup).content)

    @classmethod
    def configure(cls, setup: Setup, dataset: ImageDataset) -> Any:
        """Take the sizes of the tokenizer's codes."""
        return cls.config_type(**cls.sizes(setup))


@CONDITIONS.register("segmentation")
class Segmentation(MapCondition[SegmentationConfig]):
    """A label map: the class of each pixel. Values are (B, H, W) int64 in [0, classes)."""

    kind = "segmentation"
    content_kind = "labels"
    config_type = SegmentationConfig
    files = pair_type = SegmentationPair

    def details(self) -> Mapping[str, str]:
        """The names of the first classes, if they have names."""
        content = self.config.content
        names = content.class_names if isinstance(content, LabelsContent) else None
        return {"labels": first_names(names)} if names else {}


@CONDITIONS.register("depth")
class Depth(MapCondition[DepthConfig]):
    """A depth map. Values are (B, 1, H, W) float32 in [-1, 1]."""

    kind = "depth"
    content_kind = "depth"
    config_type = DepthConfig
    files = pair_type = DepthPair


@CONDITIONS.register("edges")
class Edges(MapCondition[EdgesConfig]):
    """The edges of the image by Canny's method. Values are (B, 1, H, W) float32, 1 or -1."""

    kind = "edges"
    content_kind = "edges"
    config_type = EdgesConfig
    pair_type = EdgesPair

    def read(self, content: bytes, key: str) -> Tensor:
        """Find the edges (1, H, W) of a photograph, or read a drawing of edges.

        A picture in greyscale, black and white or with a palette is a drawing, in which pixels
        brighter than half are edges.
        """
        reader = reader_of(self.config.content)
        picture = reader.decode(content, key)
        if read_header(content, key).mode not in DRAWING_MODES:
            return reader.to_image(picture)
        is_edge = torch.from_numpy(np.asarray(picture.convert("L")) > HALF)
        return (2.0 * is_edge.float() - 1.0)[None]

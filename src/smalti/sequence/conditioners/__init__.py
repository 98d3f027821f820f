"""Conditioners: what stands before the image in the sequence. One kind per file.

Importing this package registers them all.
"""

from typing import Annotated

from pydantic import Field

from smalti.sequence.conditioners.base import CONDITIONERS, draw_kept
from smalti.sequence.conditioners.class_label import ClassLabel, ClassLabelConfig
from smalti.sequence.conditioners.coordinate_map import CoordinateMap, CoordinateMapConfig
from smalti.sequence.conditioners.coordinates import Coordinates, CoordinatesConfig
from smalti.sequence.conditioners.depth import Depth, DepthConfig
from smalti.sequence.conditioners.edges import Edges, EdgesConfig
from smalti.sequence.conditioners.keypoints import Keypoints, KeypointsConfig
from smalti.sequence.conditioners.low_resolution import LowResolution, LowResolutionConfig
from smalti.sequence.conditioners.none import Unconditional, UnconditionalConfig
from smalti.sequence.conditioners.segmentation import Segmentation, SegmentationConfig
from smalti.sequence.conditioners.spatial import SpatialConditioner, SpatialConfig

ConditionerConfig = Annotated[
    UnconditionalConfig
    | ClassLabelConfig
    | SegmentationConfig
    | DepthConfig
    | EdgesConfig
    | LowResolutionConfig
    | CoordinatesConfig
    | CoordinateMapConfig
    | KeypointsConfig,
    Field(discriminator="kind"),
]

__all__ = [
    "CONDITIONERS",
    "ClassLabel",
    "ClassLabelConfig",
    "ConditionerConfig",
    "CoordinateMap",
    "CoordinateMapConfig",
    "Coordinates",
    "CoordinatesConfig",
    "Depth",
    "DepthConfig",
    "Edges",
    "EdgesConfig",
    "Keypoints",
    "KeypointsConfig",
    "LowResolution",
    "LowResolutionConfig",
    "Segmentation",
    "SegmentationConfig",
    "SpatialConditioner",
    "SpatialConfig",
    "Unconditional",
    "UnconditionalConfig",
    "draw_kept",
]

"""Conditions: what stands before the image in the sequence. One kind per file.

Importing this package registers them all.
"""

from typing import Annotated

from pydantic import Field

from smalti.conditions.base import CONDITIONS, draw_kept
from smalti.conditions.class_label import ClassLabel, ClassLabelConfig
from smalti.conditions.coordinate_map import CoordinateMap, CoordinateMapConfig
from smalti.conditions.coordinates import Coordinates, CoordinatesConfig
from smalti.conditions.depth import Depth, DepthConfig
from smalti.conditions.edges import Edges, EdgesConfig
from smalti.conditions.keypoints import Keypoints, KeypointsConfig
from smalti.conditions.low_resolution import LowResolution, LowResolutionConfig
from smalti.conditions.none import Unconditional, UnconditionalConfig
from smalti.conditions.segmentation import Segmentation, SegmentationConfig
from smalti.conditions.spatial import SpatialCondition, SpatialConfig

ConditionConfig = Annotated[
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
    "CONDITIONS",
    "ClassLabel",
    "ClassLabelConfig",
    "ConditionConfig",
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
    "SpatialCondition",
    "SpatialConfig",
    "Unconditional",
    "UnconditionalConfig",
    "draw_kept",
]

"""Conditions: what a prior knows of an image before it draws it. Each kind has a class and a file.

Importing this package registers all kinds.
"""

from typing import Annotated

from pydantic import Field

from smalti.conditions.base import CONDITIONS, Condition, Setup
from smalti.conditions.class_label import ClassLabelConfig
from smalti.conditions.coordinate_map import CoordinateMapConfig
from smalti.conditions.coordinates import CoordinatesConfig
from smalti.conditions.keypoints import KeypointsConfig
from smalti.conditions.low_resolution import LowResolutionConfig
from smalti.conditions.maps import DepthConfig, EdgesConfig, SegmentationConfig
from smalti.conditions.none import UnconditionalConfig

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

__all__ = ["CONDITIONS", "Condition", "ConditionConfig", "Setup"]

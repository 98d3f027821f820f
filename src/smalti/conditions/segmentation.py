"""Condition on a label map: which class each pixel shows.

Reference: arXiv:2012.09841, Sec. 4.2.
"""

from typing import Literal

from smalti.conditions.base import CONDITIONS
from smalti.conditions.spatial import SpatialCondition, SpatialConfig


class SegmentationConfig(SpatialConfig):
    """Config of `Segmentation`."""

    kind: Literal["segmentation"] = "segmentation"


@CONDITIONS.register("segmentation")
class Segmentation(SpatialCondition):
    """Semantic image synthesis."""

    kind = "segmentation"

"""Condition on a depth map.

Reference: arXiv:2012.09841, Sec. 4.2.
"""

from typing import Literal

from smalti.conditions.base import CONDITIONS
from smalti.conditions.spatial import SpatialCondition, SpatialConfig


class DepthConfig(SpatialConfig):
    """Config of `Depth`."""

    kind: Literal["depth"] = "depth"


@CONDITIONS.register("depth")
class Depth(SpatialCondition):
    """Depth-to-image."""

    kind = "depth"

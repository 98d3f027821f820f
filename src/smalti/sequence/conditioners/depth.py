"""Condition on a depth map.

Reference: arXiv:2012.09841, Sec. 4.2.
"""

from typing import Literal

from smalti.sequence.conditioners.base import CONDITIONERS
from smalti.sequence.conditioners.spatial import SpatialConditioner, SpatialConfig


class DepthConfig(SpatialConfig):
    """Config of `Depth`."""

    kind: Literal["depth"] = "depth"


@CONDITIONERS.register("depth")
class Depth(SpatialConditioner):
    """Depth-to-image."""

    kind = "depth"

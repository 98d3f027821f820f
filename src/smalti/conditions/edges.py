"""Condition on the edges of the image, found by Canny's method.

Reference: arXiv:2012.09841, Sec. 4.2.
"""

from typing import Literal

from smalti.conditions.base import CONDITIONS
from smalti.conditions.spatial import SpatialCondition, SpatialConfig


class EdgesConfig(SpatialConfig):
    """Config of `Edges`."""

    kind: Literal["edges"] = "edges"


@CONDITIONS.register("edges")
class Edges(SpatialCondition):
    """Edge-guided synthesis."""

    kind = "edges"

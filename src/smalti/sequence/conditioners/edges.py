"""Condition on the edges of the image, found by Canny's method.

Reference: arXiv:2012.09841, Sec. 4.2.
"""

from typing import Literal

from smalti.sequence.conditioners.base import CONDITIONERS
from smalti.sequence.conditioners.spatial import SpatialConditioner, SpatialConfig


class EdgesConfig(SpatialConfig):
    """Config of `Edges`."""

    kind: Literal["edges"] = "edges"


@CONDITIONERS.register("edges")
class Edges(SpatialConditioner):
    """Edge-guided synthesis."""

    kind = "edges"

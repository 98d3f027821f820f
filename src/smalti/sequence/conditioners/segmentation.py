"""Condition on a label map: which class each pixel shows.

Reference: arXiv:2012.09841, Sec. 4.2.
"""

from typing import Literal

from smalti.sequence.conditioners.base import CONDITIONERS
from smalti.sequence.conditioners.spatial import SpatialConditioner, SpatialConfig


class SegmentationConfig(SpatialConfig):
    """Config of `Segmentation`."""

    kind: Literal["segmentation"] = "segmentation"


@CONDITIONERS.register("segmentation")
class Segmentation(SpatialConditioner):
    """Semantic image synthesis."""

    kind = "segmentation"

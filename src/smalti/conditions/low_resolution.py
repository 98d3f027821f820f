"""Condition on the image at a low resolution: stochastic super-resolution.

Reference: arXiv:2012.09841, Sec. 4.2 (iv): trained for a factor of 8.
"""

from typing import Literal

from pydantic import Field

from smalti.conditions.base import CONDITIONS
from smalti.conditions.spatial import SpatialCondition, SpatialConfig


class LowResolutionConfig(SpatialConfig):
    """Config of `LowResolution`."""

    kind: Literal["low_resolution"] = "low_resolution"
    factor: int = Field(default=8, ge=2)
    """How many times smaller each side of the condition is than the image's."""


@CONDITIONS.register("low_resolution")
class LowResolution(SpatialCondition):
    """Super-resolution.

    Values are the small images, enlarged again to the size of the images: (B, 3, H, W) float32 in
    [-1, 1].
    """

    kind = "low_resolution"

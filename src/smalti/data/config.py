"""Config of how pictures become images. Imports no torch.

H, W: size of the crop in pixels.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import PositiveInt, field_validator, model_validator

from smalti.config import Config

MOST_IMAGES_CHECKED = 1000
"""Number of images whose sizes are checked before training: all images of a smaller data set."""


def present_transform(values: Mapping[str, Any]) -> dict[str, Any]:
    """Bring values of a transform to their present names: `upscale` is now `small`."""
    present = dict(values)
    if isinstance(present.get("upscale"), bool):
        present.setdefault("small", "enlarge" if present.pop("upscale") else "error")
    return present


class TransformConfig(Config):
    """How a picture of any size becomes an image of the crop's size."""

    size: PositiveInt | tuple[PositiveInt, PositiveInt] = 256
    """Crop in pixels; one number is a square."""
    resize_px: PositiveInt | Literal["crop", "keep"] = "crop"
    """Scale before cropping: `crop` shrinks the picture until it just covers the crop, a number
    shrinks its shorter side to that many pixels (or as far as still covers the crop), `keep` crops
    at the original scale."""
    crop: Literal["random", "center"] = "random"
    """Where to crop while training; evaluation always crops the center."""
    flip: bool = True
    """Mirror every second picture, at random, while training."""
    small: Literal["auto", "error", "skip", "enlarge"] = "auto"
    """What to do with a picture smaller than the crop: `error` ends the run, `skip` leaves it out
    and counts it as broken files are, `enlarge` enlarges it (and those smaller than `resize_px`).
    auto: skip on data sets of more than 1,000 images, else error."""

    @field_validator("size", mode="before")
    @classmethod
    def _height_and_width(cls, size: object) -> object:
        sides = re.fullmatch(r"(\d{1,9})x(\d{1,9})", size) if isinstance(size, str) else None
        return (int(sides[1]), int(sides[2])) if sides else size

    @model_validator(mode="before")
    @classmethod
    def _former_spelling(cls, values: object) -> object:
        return present_transform(values) if isinstance(values, dict) else values

    def settled(self, images: int) -> Self:
        """Replace the value `auto` of `small` by the one for a data set of so many images."""
        if self.small != "auto":
            return self
        # Of a larger data set only some sizes are known before training: one must not end a run.
        small = "skip" if images > MOST_IMAGES_CHECKED else "error"
        return self.model_copy(update={"small": small})

    @property
    def height_px(self) -> int:
        """H, height of the crop in pixels."""
        return self.size if isinstance(self.size, int) else self.size[0]

    @property
    def width_px(self) -> int:
        """W, width of the crop in pixels."""
        return self.size if isinstance(self.size, int) else self.size[1]

"""Condition on the pose of a person: where each joint is.

Reference: arXiv:2012.09841, Sec. 4.2 (iii): pose-guided person generation on DeepFashion.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from smalti.conditions.base import CONDITIONS
from smalti.config import Config
from smalti.types import Window

ABSENT, X, Y, SEEN = 0, 0, 1, 2


class KeypointsConfig(Config):
    """Config of `Keypoints`."""

    kind: Literal["keypoints"] = "keypoints"
    joints: tuple[str, ...] = Field(min_length=1)
    """Name of each joint, in the order of the files."""
    height_px: int = Field(ge=1)
    """Height in pixels of the prior's window, as is its"""
    width_px: int = Field(ge=1)
    """width."""
    positions: int = Field(default=32, ge=1)
    """A side of the window is told apart in so many positions."""


@CONDITIONS.register("keypoints")
class Keypoints:
    """One token for each joint: its position in the window, or "absent".

    Values and codes are (B, joints, 3) float32: x and y in pixels, and 1 where the joint is seen or
    0 where it is not. A joint outside of the window is absent. Follows the `Conditioner` protocol.
    """

    kind = "keypoints"

    def __init__(self, config: KeypointsConfig) -> None:
        self.config = config
        self.length = len(config.joints)
        self.null = config.positions**2 + 1
        self.vocab_size = config.positions**2 + 2

    def encode(self, values: Tensor) -> Tensor:
        """The same (B, joints, 3) float32."""
        return values

    def at(self, codes: Tensor, window: Window) -> Tensor:
        """Joints (B, joints, 3) float32 in pixels from the window's top left corner."""
        left = window.left * self.config.width_px / window.width
        top = window.top * self.config.height_px / window.height
        return codes - torch.tensor([left, top, 0.0], device=codes.device)

    def tokens(self, codes: Tensor) -> Tensor:
        """Tokens (B, joints) int64: 0 where absent, else 1 + positions * row + column."""
        size = torch.tensor([self.config.width_px, self.config.height_px], device=codes.device)
        cells = (codes[..., :SEEN] / size * self.config.positions).floor().long()
        inside = ((cells >= 0) & (cells < self.config.positions)).all(-1)
        numbers = 1 + self.config.positions * cells[..., Y] + cells[..., X]
        return torch.where(inside & (codes[..., SEEN] > 0), numbers, ABSENT)

    def null_tokens(self, batch_size: int) -> Tensor:
        """The dropped condition (batch_size, joints) int64: the last value of the vocabulary."""
        return torch.full((batch_size, self.length), self.null)

"""The kind of priors without a condition, which have a constant start token."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from smalti.conditions.asked import Items
from smalti.conditions.base import CONDITIONS, Condition, Setup
from smalti.config import Config
from smalti.data.dataset import ImageDataset
from smalti.types import Batch


class UnconditionalConfig(Config):
    """Options of a prior without a condition, whose sequence begins with a start token."""

    kind: Literal["none"] = "none"
    token: int = Field(default=0, ge=0)
    """Number of the start token, which is 0 except in imported priors."""


@CONDITIONS.register("none")
class Unconditional(Condition[UnconditionalConfig]):
    """One start token, so that the first image token has something to follow.

    Values and codes are empty, (B, 0). The dropped condition is the start token too.
    """

    kind = "none"
    is_asked = False
    has_column = False
    has_default = True
    length = 1

    def __str__(self) -> str:
        """Nothing and the start token, for messages."""
        return f"nothing, start token {self.config.token}"

    @classmethod
    def configure(cls, setup: Setup, dataset: ImageDataset) -> UnconditionalConfig:
        """Make the default config."""
        return UnconditionalConfig()

    @property
    def vocab_size(self) -> int:
        """Number of token values; the start token is the last."""
        return self.config.token + 1

    def batch_values(self, batch: Batch) -> Tensor:
        """Empty values (B, 0)."""
        return self.blank(len(batch.keys))

    def values(self, asked: Items, count: int, size_px: tuple[int, int] | None = None) -> Tensor:
        """Empty values (count, 0)."""
        return self.blank(count)

    def tokens(self, codes: Tensor) -> Tensor:
        """Start tokens (B, 1) int64."""
        return self.null_tokens(len(codes)).to(codes.device)

    def blank(self, count: int) -> Tensor:
        """Empty codes (count, 0)."""
        return torch.zeros(count, 0)

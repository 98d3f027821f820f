"""No condition: a start token that is always the same."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from smalti.conditions.base import CONDITIONS
from smalti.config import Config
from smalti.types import Window


class UnconditionalConfig(Config):
    """Config of `Unconditional`."""

    kind: Literal["none"] = "none"
    token: int = Field(default=0, ge=0)
    """Number of the start token; other than 0 in imported priors only."""


@CONDITIONS.register("none")
class Unconditional:
    """One start token, so that the first image token has something to follow.

    Its values and codes are empty, (B, 0). Follows the `Conditioner` protocol.
    """

    kind = "none"
    length = 1

    def __init__(self, config: UnconditionalConfig) -> None:
        self.config = config
        self.vocab_size = config.token + 1

    def encode(self, values: Tensor) -> Tensor:
        """The same (B, 0)."""
        return values

    def at(self, codes: Tensor, window: Window) -> Tensor:
        """The same (B, 0)."""
        return codes

    def tokens(self, codes: Tensor) -> Tensor:
        """Start tokens (B, 1) int64."""
        return self.null_tokens(len(codes)).to(codes.device)

    def null_tokens(self, batch_size: int) -> Tensor:
        """Start tokens (batch_size, 1) int64."""
        return torch.full((batch_size, 1), self.config.token)

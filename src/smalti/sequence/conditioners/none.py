"""No condition: a start token that is always the same."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from smalti.sequence.conditioners.base import CONDITIONERS
from smalti.types import Config, InputError


class UnconditionalConfig(Config):
    """Config of `Unconditional`."""

    kind: Literal["none"] = "none"


@CONDITIONERS.register("none")
class Unconditional:
    """One start token, so that the first image token has something to follow.

    Follows the `Conditioner` protocol.
    """

    length = 1
    vocab_size = 1

    def __init__(self, config: UnconditionalConfig) -> None:
        self.config = config

    def labels(self, condition: str | int | Sequence[str | int] | None, count: int) -> None:
        """None, the labels of images without a condition.

        Raises:
            InputError: a condition was asked for.
        """
        if condition is not None:
            raise InputError(
                f"this prior knows no classes, so it cannot be asked for {condition!r}; "
                "leave the condition out"
            )

    def tokens(self, labels: Tensor | None, batch_size: int) -> Tensor:
        """Start tokens (batch_size, 1) int64, all 0; `labels` are ignored."""
        return self.null_tokens(batch_size)

    def null_tokens(self, batch_size: int) -> Tensor:
        """Start tokens (batch_size, 1) int64, all 0."""
        return torch.zeros(batch_size, 1, dtype=torch.int64)

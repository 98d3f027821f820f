"""Conditioning: one or several conditioners in a row.

Axes: B batch, n conditioners.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from smalti.config import InputError
from smalti.types import Batch, Conditioner, Window


class Conditioning:
    """The conditioning part of the sequence: each conditioner's tokens, one after the other.

    Each has its own segment of the conditioning vocabulary.

    Args:
        conditioners: at least one.
    """

    def __init__(self, conditioners: Sequence[Conditioner]) -> None:
        assert conditioners, "something must precede the first image token"
        self.conditioners = tuple(conditioners)
        self.kinds = tuple(conditioner.kind for conditioner in conditioners)
        self.length = sum(conditioner.length for conditioner in conditioners)
        self.vocab_size = sum(conditioner.vocab_size for conditioner in conditioners)

    def encode(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Codes (B, ...) by kind, of values (B, ...) by kind.

        Raises:
            InputError: a kind is missing.
        """
        for kind in self.kinds:
            if kind not in values:
                raise InputError(f"the condition {kind!r} is missing; give one for each image")
        return {kind.kind: kind.encode(values[kind.kind]) for kind in self.conditioners}

    def at(self, codes: Mapping[str, Tensor], window: Window) -> dict[str, Tensor]:
        """Codes by kind of a window, of those of a whole canvas."""
        return {kind.kind: kind.at(codes[kind.kind], window) for kind in self.conditioners}

    def tokens(self, codes: Mapping[str, Tensor], kept: Tensor | None = None) -> Tensor:
        """Conditioning tokens of a window.

        Args:
            codes: (B, ...) of each kind.
            kept: (B, n) bool, which conditions are said; None says them all.

        Returns:
            (B, length) int64 in [0, vocab_size), on the device of the codes.
        """
        parts, offset = [], 0
        for number, conditioner in enumerate(self.conditioners):
            tokens = conditioner.tokens(codes[conditioner.kind])
            if kept is not None:
                null_tokens = conditioner.null_tokens(len(tokens)).to(tokens.device)
                said = kept[:, number, None].to(tokens.device)
                tokens = torch.where(said, tokens, null_tokens)
            parts.append(tokens + offset)
            offset += conditioner.vocab_size
        return torch.cat(parts, dim=1)


def values_of(batch: Batch) -> dict[str, Tensor]:
    """Values of all kinds of conditions that a batch has: its classes, and what it was paired with.

    Returns:
        (B, ...) by kind.
    """
    values = {"none": torch.zeros(len(batch.keys), 0), **batch.conditions}
    if batch.labels is not None:
        values["class"] = batch.labels
    return values

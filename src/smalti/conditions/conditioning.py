"""Conditioning: one condition or several, whose tokens stand one after the other.

Axes: B batch, n conditions.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from smalti.conditions import CONDITIONS, Condition, ConditionConfig
from smalti.conditions.asked import Asked, Items, by_kind, items_of
from smalti.conditions.grid import GridCondition
from smalti.config import InputError
from smalti.tokenizer.base import Tokenizer
from smalti.types import Batch, Window


class Conditioning:
    """The conditioning in a sequence: the tokens of each condition, one after the other.

    Each condition has its own segment of the conditioning vocabulary.

    Args:
        conditions: at least one.
    """

    def __init__(self, conditions: Sequence[Condition[Any]]) -> None:
        assert conditions, "something must precede the first image token"
        self.conditions = tuple(conditions)
        self.kinds = tuple(condition.kind for condition in conditions)
        self.length = sum(condition.length for condition in conditions)
        self.vocab_size = sum(condition.vocab_size for condition in conditions)

    def values(self, asked: Asked, count: int, first: int = 0) -> dict[str, Tensor]:
        """Make values (count, ...) by kind of the conditions that a user can give.

        Args:
            asked: what the user gives; the images take several items in turn.
            count: number of images.
            first: number of the first image, where they are some of a large set.

        Raises:
            InputError: a condition is missing, unknown to the prior, or cannot be read.
        """
        conditions = [condition for condition in self.conditions if condition.is_asked]
        items = by_kind(asked, [condition.kind for condition in conditions])
        return {one.kind: _values(one, items.get(one.kind), count, first) for one in conditions}

    def picture_size(self, values: Mapping[str, Tensor]) -> tuple[int, int] | None:
        """Height and width in pixels of those values that are pictures, or None without pictures.

        Raises:
            InputError: two pictures differ in size.
        """
        pictures = [one.kind for one in self.conditions if one.picture_grid is not None]
        sizes = {
            kind: (values[kind].shape[-2], values[kind].shape[-1])
            for kind in pictures
            if kind in values
        }
        if len(set(sizes.values())) > 1:
            listed = ", ".join(
                f"{kind} {height}x{width}" for kind, (height, width) in sizes.items()
            )
            raise InputError(f"the conditions are of different sizes (height x width): {listed}")
        return next(iter(sizes.values()), None)

    def remarks(self, values: Mapping[str, Tensor], size_px: tuple[int, int]) -> list[str]:
        """What a user should know of values by kind for pictures of a height and width."""
        said = (
            one.remark(values[one.kind], size_px) for one in self.conditions if one.kind in values
        )
        return [remark for remark in said if remark is not None]

    def size_values(self, count: int, size_px: tuple[int, int]) -> dict[str, Tensor]:
        """Make values (count, ...) by kind of the conditions that follow from height and width."""
        conditions = (condition for condition in self.conditions if not condition.is_asked)
        return {one.kind: one.values(None, count, size_px) for one in conditions}

    def batch_values(self, batch: Batch) -> dict[str, Tensor]:
        """Values (B, ...) by kind of the conditions that a batch of the data set has."""
        values = {one.kind: one.batch_values(batch) for one in self.conditions}
        return {kind: value for kind, value in values.items() if value is not None}

    def encode(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Encode values (B, ...) by kind into codes (B, ...) by kind.

        Raises:
            InputError: a kind is missing.
        """
        for kind in self.kinds:
            if kind not in values:
                raise InputError(f"the condition {kind!r} is missing; give one for each image")
        return {one.kind: one.encode(values[one.kind]) for one in self.conditions}

    def blank(self, count: int) -> dict[str, Tensor]:
        """Make codes (count, ...) of zeros by kind."""
        return {one.kind: one.blank(count) for one in self.conditions}

    def at(self, codes: Mapping[str, Tensor], window: Window) -> dict[str, Tensor]:
        """Take the codes of a window by kind from those of a whole canvas."""
        return {one.kind: one.at(codes[one.kind], window) for one in self.conditions}

    def tokens(self, codes: Mapping[str, Tensor], present: Tensor | None = None) -> Tensor:
        """Conditioning tokens of a window.

        Args:
            codes: (B, ...) by kind.
            present: (B, n) bool, False where a condition is dropped; None drops none.

        Returns:
            (B, length) int64 in [0, vocab_size), on the device of the codes.
        """
        of_each = (self._tokens(number, codes, present) for number in range(len(self.conditions)))
        return torch.cat([*of_each], dim=1)

    def _tokens(self, number: int, codes: Mapping[str, Tensor], present: Tensor | None) -> Tensor:
        """Tokens (B, n) of one of the conditions, of codes of any size; see `tokens`."""
        condition = self.conditions[number]
        tokens = condition.tokens(codes[condition.kind])
        if present is not None:
            dropped = condition.null_tokens(len(tokens)).to(tokens.device)
            if isinstance(condition, GridCondition):  # of which all tokens are the same
                dropped = dropped[:, :1]
            tokens = torch.where(present[:, number, None].to(tokens.device), tokens, dropped)
        return tokens + sum(before.vocab_size for before in self.conditions[:number])

    def placeless_tokens(self, codes: Mapping[str, Tensor], present: Tensor | None) -> Tensor:
        """Those of `tokens` that are no cells of a grid: (B, n)."""
        of_each = [
            self._tokens(number, codes, present)
            for number, condition in enumerate(self.conditions)
            if not isinstance(condition, GridCondition)
        ]
        first = next(iter(codes.values()))
        nothing = torch.zeros(len(first), 0, dtype=torch.int64, device=first.device)
        return torch.cat([nothing, *of_each], dim=1)

    def grid_tokens(self, codes: Mapping[str, Tensor], present: Tensor | None) -> list[Tensor]:
        """Tokens (B, H, W) of each condition with a grid, of codes (B, H, W) of any size."""
        return [
            self._tokens(number, codes, present).view(codes[condition.kind].shape)
            for number, condition in enumerate(self.conditions)
            if isinstance(condition, GridCondition)
        ]

    @property
    def moves_with_window(self) -> bool:
        """Whether tokens without a place differ from window to window."""
        return any(condition.moves_with_window for condition in self.conditions)

    def grids(self) -> Iterator[tuple[int, tuple[int, int]]]:
        """The first token, rows and columns of each condition with a token for each cell."""
        start = 0
        for condition in self.conditions:
            if isinstance(condition, GridCondition):
                yield start, (condition.config.grid_height, condition.config.grid_width)
            start += condition.length

    def pictures(self, codes: Mapping[str, Tensor]) -> list[Image.Image]:
        """Make RGB pictures of codes (B, ...) by kind, of the conditions that have pictures.

        There are B of each such condition, first of those with a tokenizer, then of the others.
        """
        in_order = sorted(self.conditions, key=lambda one: one.content_kind is None)
        return [picture for one in in_order for picture in one.pictures(codes[one.kind])]


def _values(condition: Condition[Any], asked: Items, count: int, first: int) -> Tensor:
    """Values (count, ...) of a condition from image number `first` on."""
    if asked is None:  # which no kind answers with more than a number for each image
        return condition.values(None, first + count)[first:]
    items = items_of(asked)
    turn = first % len(items) if items else 0
    return condition.values(items[turn:] + items[:turn], count)


def conditioning_of(
    configs: Sequence[ConditionConfig], tokenizers: Mapping[str, Tokenizer] | None = None
) -> Conditioning:
    """Build the conditioning of a prior.

    Args:
        configs: configs of the conditions.
        tokenizers: tokenizers of the conditions that need one, by kind; without them the
            conditioning cannot encode.

    Raises:
        InputError: a tokenizer has another number of codes than its condition.
    """
    known = tokenizers or {}
    return Conditioning([CONDITIONS.build(config, known.get(config.kind)) for config in configs])


def draw_present(
    batch_size: int, conditions: int, drop: float, generator: torch.Generator
) -> Tensor:
    """Choose the conditions of each example that a prior reads in training; others are dropped.

    Such a prior learns images with and without their conditions, which classifier-free guidance
    compares. All conditions of an example are dropped together with probability `drop`; if there
    are several, each one is also dropped alone with the same probability.

    Args:
        batch_size: B.
        conditions: n, number of conditions.
        drop: probability, in [0, 1].
        generator: random generator, on the CPU.

    Returns:
        (B, n) bool, on the CPU.

    Reference: Ho and Salimans 2022, "Classifier-Free Diffusion Guidance", arXiv:2207.12598,
        Algorithm 1; Brooks et al. 2023, "InstructPix2Pix", arXiv:2211.09800, Sec. 3.2.1.
    """
    present = torch.rand(batch_size, 1, generator=generator) >= drop
    if conditions > 1:
        present = present & (torch.rand(batch_size, conditions, generator=generator) >= drop)
    return present.expand(batch_size, conditions)

"""Canvases: codes of whole images, some of them known, as they are and as the prior sees them.

Axes: B batch, H/W canvas in cells, h/w window in cells, P prefixes of the conditions (see
`guidance`), K codebook size. A step is the number of a cell in the order of drawing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from smalti.conditions.conditioning import Conditioning
from smalti.sampling.guidance import Guidance
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.token_loop import Alike
from smalti.sampling.window_plan import Run, window_start
from smalti.types import Window


@dataclass(frozen=True, slots=True)
class Canvas:
    """Codes of whole images, some of them known."""

    codes: Tensor
    """Codes (B, H, W) int64, changed in place; known ones are in [0, K), the values of others mean
    nothing."""
    known: Tensor
    """Whether each cell keeps its code, (B, H, W) or (H, W) bool."""

    @classmethod
    def unknown(cls, codes: Tensor) -> Self:
        """Make a canvas without known codes, whose codes (B, H, W) int64 are all to be drawn."""
        return cls(codes, torch.zeros_like(codes, dtype=torch.bool))

    def rows(self, images: range) -> Self:
        """The canvas of some of the images, a view: codes drawn on it are on both."""
        rows = slice(images.start, images.stop)
        known = self.known if self.known.ndim == 2 else self.known[rows]
        return type(self)(self.codes[rows], known)


class CanvasView:
    """A canvas as the prior sees it: its cells in their order, its windows as tokens.

    Args:
        model: config of the prior.
        conditioning: conditioning of the prior.
        condition_codes: (B, ...) of the whole canvas, by kind, on the prior's device.
        canvas: the canvas, on the prior's device.
        guidance: says which conditions are dropped in which rows.
    """

    def __init__(
        self,
        model: PriorModelConfig,
        conditioning: Conditioning,
        condition_codes: Mapping[str, Tensor],
        canvas: Canvas,
        guidance: Guidance,
    ) -> None:
        self.model = model
        self.layout = model.layout
        self.ordering = model.build_ordering()
        self.conditioning = conditioning
        self.condition_codes = condition_codes
        self.codes = canvas.codes
        self.known = canvas.known.to(canvas.codes.device).expand_as(canvas.codes)
        batch_size, self.height, self.width = canvas.codes.shape
        self.masks = [
            None if mask.all() else mask.to(canvas.codes.device).expand(batch_size, -1)
            for mask in guidance.masks(conditioning.kinds)
        ]
        self.cells = self._cells_in_order()

    def _cells_in_order(self) -> list[int]:
        """Row-major number of the cell of each step."""
        if (self.height, self.width) == (self.model.grid_height, self.model.grid_width):
            return self.ordering.forward.tolist()
        return list(range(self.height * self.width))

    def unknown_steps(self) -> list[bool]:
        """For each step, whether any image of the batch has something to draw."""
        unknown = (~self.known).any(0).flatten().tolist()
        return [unknown[cell] for cell in self.cells]

    def codes_at(self, step: int) -> Tensor:
        """Codes (B,) at a step, a view of the canvas."""
        row, column = divmod(self.cells[step], self.width)
        return self.codes[:, row, column]

    def place(self, step: int, drawn: Tensor) -> Tensor:
        """Put drawn codes (B,) where codes are unknown; returns the codes (B,) of the canvas."""
        row, column = divmod(self.cells[step], self.width)
        codes = self.codes_at(step)
        return codes.copy_(torch.where(self.known[:, row, column], codes, drawn))

    def with_known(self, done: int) -> Callable[[int, Tensor], Tensor]:
        """A function that replaces drawn codes by those that the canvas has and keeps.

        It takes a step and codes (B, n) of the steps from there on. The canvas keeps its known
        codes, and those of the first `done` steps.
        """
        order = torch.tensor(self.cells, device=self.codes.device)
        known = self.known.flatten(1)[:, order]  # (B, H * W), a copy
        known[:, :done] = True

        def replace(step: int, drawn: Tensor) -> Tensor:
            steps = slice(step, step + drawn.shape[1])
            return torch.where(known[:, steps], self.codes.flatten(1)[:, order[steps]], drawn)

        return replace

    def alike_conditions(self) -> Alike | None:
        """Which rows of the prior's batch have the same conditions, in every window."""
        by_kind = [self.condition_codes[kind] for kind in self.conditioning.kinds]
        by_kind = [codes.reshape(len(codes), codes[0].numel()).long() for codes in by_kind]
        rows = []
        for mask in self.masks:
            present = torch.ones(1, len(by_kind), dtype=torch.bool) if mask is None else mask
            of_row = [
                codes.where(present[:, number, None].to(codes.device), -1)
                for number, codes in enumerate(by_kind)
            ]
            rows.append(torch.cat(of_row, dim=1))
        return Alike.among(torch.cat(rows), self.layout.cond_length)

    def contexts(self, runs: Sequence[Run]) -> Tensor:
        """Tokens (P * n * B, cond_length + offset) int64 before the first cell of each of n runs.

        The offset of all runs is the same.
        """
        by_prefix = zip(*(self.context(run).chunk(len(self.masks)) for run in runs), strict=True)
        return torch.cat([context for prefix in by_prefix for context in prefix])

    def context(self, run: Run) -> Tensor:
        """Tokens (P * B, cond_length + offset) int64 before the run's first cell."""
        h, w = self.model.grid_height, self.model.grid_width
        window = Window(run.top, run.left, h, w, self.height, self.width)
        conditions = self.conditioning.at(self.condition_codes, window)
        prefixes = [self.conditioning.tokens(conditions, mask) for mask in self.masks]
        cond_tokens = self.layout.shift(torch.cat(prefixes))
        rows = slice(run.top, run.top + h)
        columns = slice(run.left, run.left + w)
        tokens = self.ordering.to_tokens(self.codes[:, rows, columns])[:, : run.offset]
        return torch.cat([cond_tokens, tokens.repeat(len(self.masks), 1)], dim=1)

    def placeless_tokens(self, row: int, column: int) -> Tensor:
        """Conditioning tokens (P * B, n) without a place, of the window around a cell."""
        model = self.model
        window = Window(
            window_start(row, self.height, model.grid_height),
            window_start(column, self.width, model.grid_width),
            model.grid_height,
            model.grid_width,
            self.height,
            self.width,
        )
        codes = self.conditioning.at(self.condition_codes, window)
        prefixes = [self.conditioning.placeless_tokens(codes, mask) for mask in self.masks]
        return self.layout.shift(torch.cat(prefixes))

    def grid_tokens(self) -> list[Tensor]:
        """Tokens (P * B, rows, columns) of each condition with a grid, of the whole canvas."""
        by_prefix = [
            self.conditioning.grid_tokens(self.condition_codes, mask) for mask in self.masks
        ]
        return [self.layout.shift(torch.cat(grids)) for grids in zip(*by_prefix, strict=True)]

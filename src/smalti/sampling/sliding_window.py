"""Sliding window, for images larger than what the prior reads at once.

Each code is drawn from the part of the image around it that the prior can see, its window. Codes
next to each other that have the same window are a run: their context is read once, then each is
read as it is drawn. An image of one window is one run, which is plain generation.

Axes: B batch, H/W canvas in cells, h/w window in cells, P prefixes of the conditions (see
`guidance`), K codebook size. A step is the number of a cell in the order of drawing.
Reference: arXiv:2012.09841, Sec. 3.2 "Generating High-Resolution Images", Fig. 3.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from smalti.conditions.conditioning import Conditioning
from smalti.config import InputError
from smalti.sampling.choice import Choose
from smalti.sampling.config import SamplingConfig
from smalti.sampling.guidance import Guidance, build_guidance
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.token_loop import TokenLoop
from smalti.types import Prior, Window


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


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive steps with one window."""

    top: int
    """First row of the window."""
    left: int
    """First column of the window."""
    offset: int
    """Number of cells of the window that come before that of the first step."""
    start: int
    """Number of the first step."""
    stop: int
    """Number of the step after the last."""

    def without_known(self, unknown: Sequence[bool]) -> "Run | None":
        """Shorten the run to its unknown cells, from the first to the last; None without any.

        Args:
            unknown: for each step, whether there is something to draw.
        """
        steps = [step for step in range(self.start, self.stop) if unknown[step]]
        if not steps:
            return None
        offset = self.offset + steps[0] - self.start
        return replace(self, offset=offset, start=steps[0], stop=steps[-1] + 1)


def window_start(cell: int, cells: int, window: int) -> int:
    """First row (or column) of a cell's window; the cell is in its middle except at edges."""
    return min(max(cell - window // 2, 0), cells - window)


def plan(
    height: int, width: int, window_height: int, window_width: int, stride: int = 1
) -> list[Run]:
    """Plan the windows in which a canvas is drawn, line by line.

    Args:
        height: H.
        width: W.
        window_height: h, at most H.
        window_width: w, at most W.
        stride: number of columns, counted from the left edge, that share the window of the first
            of them; with 1 each cell has its window, as in the paper.

    Returns:
        Runs, each as long as can be, which together hold all steps.
    """
    runs: list[Run] = []
    for step in range(height * width):
        row, column = divmod(step, width)
        top = window_start(row, height, window_height)
        left = window_start(column - column % stride, width, window_width)
        if runs and (runs[-1].top, runs[-1].left) == (top, left):
            runs[-1] = replace(runs[-1], stop=step + 1)
        else:
            offset = (row - top) * window_width + column - left
            runs.append(Run(top, left, offset, step, step + 1))
    return runs


@dataclass(slots=True)
class CellCount:
    """How many cells of a canvas are done, known ones included, in the order of drawing.

    Drawing goes on from there: if it was stopped, by an exception from `on_done` for example, and
    is resumed with the same canvas and count, it ends with the same codes.
    """

    done: int = 0
    on_done: Callable[[int], object] = lambda done: None
    """Function that is called with the new number as soon as the cells are on the canvas."""

    def advance(self, done: int) -> None:
        """Set the number of cells that are done."""
        self.done = done
        self.on_done(done)


def sample_canvas(
    prior: Prior,
    model: PriorModelConfig,
    conditioning: Conditioning,
    condition_codes: Mapping[str, Tensor],
    canvas: Canvas,
    config: SamplingConfig,
    choose: Choose,
    count: CellCount | None = None,
) -> Tensor:
    """Draw the unknown codes of a canvas, in place; known codes stay and serve as context.

    Args:
        prior: the prior, in eval mode.
        model: config of the prior.
        conditioning: conditioning of the prior.
        condition_codes: (B, ...) of the whole canvas, by kind, on the prior's device.
        canvas: the canvas, on the prior's device.
        config: temperature, top-k, top-p, guidance, stride.
        choose: draws codes from probabilities, at the steps 0 to H * W - 1.
        count: count of the cells that are done; None begins with the first cell.

    Returns:
        (B, H, W) int64 in [0, K), a copy of the canvas's codes.

    Raises:
        InputError: the canvas is below the window, or above it where the prior's ordering is not
            row-major; the stride or the guidance is not possible; logits are not finite.
    """
    height, width = canvas.codes.shape[1:]
    check_size(model, height, width)
    check_stride(config.stride, model.grid_width)
    guidance = build_guidance(config, conditioning.kinds, model.condition_drop)
    count = count or CellCount()
    start = count.done
    with torch.inference_mode():
        view = CanvasView(model, conditioning, condition_codes, canvas, guidance)
        unknown = view.unknown_steps()
        loop = TokenLoop(prior, guidance, config, choose, model.codebook_size, height * width)

        def place(step: int, drawn: Tensor) -> Tensor:
            # Steps before the start are read again the way they were read when they were drawn:
            # read at once they would be rounded differently.
            if step < start:
                return view.codes_at(step)
            codes = view.place(step, drawn)
            count.advance(step + 1)
            return codes

        for run in plan(height, width, model.grid_height, model.grid_width, config.stride):
            if run.stop <= start:
                continue
            to_draw = run.without_known(unknown)
            if to_draw is not None and to_draw.stop > start:
                loop.run(view.context(to_draw), range(to_draw.start, to_draw.stop), place)
            if to_draw is None or to_draw.stop < run.stop:
                count.advance(run.stop)
        loop.check_finite()
    return canvas.codes.clone()


class CanvasView:
    """A canvas as the prior sees it: its cells in their order, its windows as tokens.

    The arguments are those of `sample_canvas`.
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


def check_size(model: PriorModelConfig, height: int, width: int) -> None:
    """Refuse a canvas (in cells) that a prior's window cannot slide over.

    Raises:
        InputError: it is smaller than the window, or larger and the ordering is not row_major.
    """
    window = f"{model.grid_height}x{model.grid_width}"
    if height < model.grid_height or width < model.grid_width:
        raise InputError(
            f"{height}x{width} codes (height x width) are below one window of this prior, {window}"
        )
    is_larger = (height, width) != (model.grid_height, model.grid_width)
    if is_larger and model.ordering != "row_major":
        raise InputError(
            f"{height}x{width} codes (height x width) need a prior of ordering row_major; this one "
            f"has {model.ordering}, and makes {window} codes only"
        )


def check_stride(stride: int, window_width: int) -> None:
    """Refuse a stride with which a window would not hold all codes that are drawn in it.

    Args:
        stride: see `plan`.
        window_width: w.

    Raises:
        InputError: the stride is not possible.
    """
    most = window_width - window_width // 2
    if not 1 <= stride <= most:
        raise InputError(
            f"stride {stride} is not possible: it must be 1 to {most} for a window of "
            f"{window_width} columns"
        )

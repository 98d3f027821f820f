"""Sliding window, for images larger than what the prior reads at once.

Each code is drawn from the part of the image around it that the prior can see, its window. Only the
codes before it are read. Codes next to each other that have the same window are a run: their
context is read once, then each is read as it is drawn. An image of one window is one run, which is
plain generation. Windows at the upper and lower edge come again in the next row, where the prior's
cache of them is brought back and the codes between are added. On a graphics card several rows are
drawn at a time, where their windows allow it.

Axes: B batch, H/W canvas in cells, h/w window in cells, P prefixes of the conditions (see
`guidance`), K codebook size. A step is the number of a cell in the order of drawing.
Reference: arXiv:2012.09841, Sec. 3.2 "Generating High-Resolution Images", Fig. 3.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from smalti.conditions.conditioning import Conditioning
from smalti.config import InputError
from smalti.sampling.choice import Choose
from smalti.sampling.config import SamplingConfig
from smalti.sampling.guidance import Guidance, build_guidance
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.token_loop import Alike, TokenLoop
from smalti.sampling.window_plan import Run, check_stride, plan, waves
from smalti.types import Prior, Window

KEPT_BYTES = 2**30
"""Memory for the caches of windows to which the drawing comes back; the others are read again."""
ROWS_AT_ONCE = 16
"""Rows of the prior's batch on a graphics card, where windows are read together."""


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
    with torch.inference_mode(), _precision(config, canvas.codes.device):
        view = CanvasView(model, conditioning, condition_codes, canvas, guidance)
        progress = Progress(count or CellCount(), view.unknown_steps())
        loop = TokenLoop(prior, guidance, config, choose, model.codebook_size, height * width)

        def place(step: int, drawn: Tensor) -> Tensor:
            if progress.is_done_before(step):
                return view.codes_at(step)
            codes = view.place(step, drawn)
            progress.finish(step)
            return codes

        runs = progress.runs_to_draw(
            plan(height, width, model.grid_height, model.grid_width, config.stride)
        )
        kept = KeptWindows(runs)
        alike = view.alike_conditions()
        rows = len(guidance.prefixes) * len(canvas.codes)
        # Images that have their conditions in common read fewer tokens one window at a time.
        at_once = windows_at_once(view.codes.device, rows) if alike is None else 1
        for group in waves(runs, width, model.grid_width, at_once):
            # What is done is read again, the way it was read when it was drawn, as long as its
            # window comes back: read at once, its codes would be rounded differently.
            if all(progress.is_done_before(kept.last_step(run)) for run in group):
                continue
            if len(group) > 1:
                loop.draw(view.contexts(group), [run.start for run in group], place)
                continue
            (run,), context = group, view.contexts(group)
            if run is runs[0]:  # it has no drawn codes, only known ones, which may be alike too
                first = Alike.among(context, context.shape[1]) or alike
                loop.run(context, run.steps, place, alike=first)
            else:
                loop.run(context, run.steps, place, kept.take(run), alike)
            kept.keep(run, loop.cache)
        loop.check_finite()
    return canvas.codes.clone()


def _precision(
    config: SamplingConfig, device: torch.device
) -> contextlib.AbstractContextManager[object]:
    """Context in which the prior computes in the number format of a config."""
    if config.precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


class Progress:
    """Which cells of a canvas are done; it keeps a count up to date.

    Args:
        count: the count, which may have begun.
        unknown: for each step, whether there is something to draw.
    """

    def __init__(self, count: CellCount, unknown: Sequence[bool]) -> None:
        self.count = count
        self.start = count.done
        self.unknown = list(unknown)
        self._advance()

    def is_done_before(self, step: int) -> bool:
        """Whether a step was done before the work was resumed."""
        return step < self.start

    def runs_to_draw(self, runs: Sequence[Run]) -> list[Run]:
        """The runs that hold anything to draw, without known cells at their ends."""
        shortened = (run.without_known(self.unknown) for run in runs)
        return [run for run in shortened if run is not None]

    def finish(self, step: int) -> None:
        """Say that the cell of a step is done."""
        self.unknown[step] = False
        self._advance()

    def _advance(self) -> None:
        """Count the cells before the first that is still unknown."""
        done = self.count.done
        while done < len(self.unknown) and not self.unknown[done]:
            done += 1
        if done > self.count.done:
            self.count.advance(done)


class KeptWindows:
    """What the prior's cache held of windows to which the drawing comes back in the next row.

    Args:
        runs: all runs, in the order in which they are drawn.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._last_steps = {run.window: run.stop - 1 for run in runs}
        visits = Counter(run.window for run in runs)
        in_row = Counter[int]()
        self._numbers: dict[tuple[int, int], int] = {}  # among the returning ones of the same rows
        for window in (window for window, times in visits.items() if times > 1):
            in_row[window[0]] += 1
            self._numbers[window] = in_row[window[0]]
        self._saved: dict[tuple[int, int], Any] = {}

    def last_step(self, run: Run) -> int:
        """The last step that has the window of a run."""
        return self._last_steps[run.window]

    def take(self, run: Run) -> Any:
        """What was kept of the window of a run, or None."""
        return self._saved.pop(run.window, None)

    def keep(self, run: Run, cache: Any) -> None:
        """Keep what a cache holds of the window of a run, if it comes back and there is room."""
        if run.stop - 1 == self.last_step(run):
            return
        # What is read one by one takes longer than the whole window at once: that is read again.
        if cache.reads_together and self._numbers[run.window] * cache.nbytes <= KEPT_BYTES:
            self._saved[run.window] = cache.save()


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


def windows_at_once(device: torch.device, rows: int) -> int:
    """How many windows of neighbouring rows of an image to read together.

    A graphics card is idle most of the time when it reads a few hundred tokens. A processor is not:
    there, the time of several windows was measured to be that of one after the other.

    Args:
        device: device of the prior.
        rows: rows of the prior's batch for one window.
    """
    return max(1, ROWS_AT_ONCE // rows) if device.type == "cuda" else 1


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

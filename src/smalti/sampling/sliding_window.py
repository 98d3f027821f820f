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
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from smalti.conditions.conditioning import Conditioning
from smalti.config import InputError
from smalti.prior.local.model import LocalGPT
from smalti.sampling.canvas import Canvas, CanvasView
from smalti.sampling.choice import Choose, RacingChoice
from smalti.sampling.config import SamplingConfig
from smalti.sampling.guidance import Guidance, build_guidance
from smalti.sampling.kept_windows import KeptWindows
from smalti.sampling.local_canvas import draw_rows
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.progress import CanvasProgress, CellCount
from smalti.sampling.speculative import SpeculativeLoop
from smalti.sampling.token_loop import Alike, TokenLoop
from smalti.sampling.window_plan import check_stride, plan, waves
from smalti.types import Prior

ROWS_AT_ONCE = 16
"""Rows of the prior's batch on a graphics card, where windows are read together."""


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
        config: temperature, top-k, top-p, guidance, stride, speculative.
        choose: draws codes from probabilities, at the steps 0 to H * W - 1; for speculative
            sampling a `RacingChoice`.
        count: count of the cells that are done; None begins with the first cell.

    Returns:
        (B, H, W) int64 in [0, K), a copy of the canvas's codes.

    Raises:
        InputError: the canvas is below the window, or above it where the prior's ordering is not
            row-major; the stride or the guidance is not possible; logits are not finite.
    """
    for _ in draw_canvas(
        prior, model, conditioning, condition_codes, canvas, config, choose, count
    ):
        pass
    return canvas.codes.clone()


def draw_canvas(
    prior: Prior,
    model: PriorModelConfig,
    conditioning: Conditioning,
    condition_codes: Mapping[str, Tensor],
    canvas: Canvas,
    config: SamplingConfig,
    choose: Choose,
    count: CellCount | None = None,
    group_seconds: float = math.inf,
    new_cache: Callable[[int], Any] | None = None,
) -> Iterator[list[int]]:
    """Draw the unknown codes of a canvas, in place, a group of cells at a time.

    A group ends after `group_seconds`. `new_cache` is that of `TokenLoop`. The other arguments are
    those of `sample_canvas`, which does not return before all is drawn.

    Yields:
        The row-major numbers of the cells that were drawn since the group before. On a graphics
        card cells of several rows may take turns.

    Raises:
        InputError: as `sample_canvas`.
    """
    height, width = canvas.codes.shape[1:]
    check_size(model, height, width)
    check_stride_of(config.stride, model)
    guidance = build_guidance(config, conditioning.kinds, model.condition_drop)

    def draw() -> Iterator[int]:
        view = CanvasView(model, conditioning, condition_codes, canvas, guidance)
        progress = CanvasProgress(count or CellCount(), view.unknown_steps())
        loop = _build_loop(prior, guidance, config, choose, view, progress, new_cache)
        if isinstance(prior, LocalGPT):
            yield from draw_rows(prior, view, loop, progress)
        else:
            yield from _draw_windows(view, loop, config.stride, progress)

    cells, is_going_on = draw(), True
    while is_going_on:
        # Entered anew for each group: who takes the cells must not compute in these modes.
        with torch.inference_mode(), _precision(config, canvas.codes.device):
            group, is_going_on = _next_group(cells, group_seconds)
        if group:
            yield group


def _next_group(cells: Iterator[int], seconds: float) -> tuple[list[int], bool]:
    """The next cells, until some time is over, and whether there may be more."""
    end, group = time.monotonic() + seconds, []
    for cell in cells:
        group.append(cell)
        if time.monotonic() >= end:
            return group, True
    return group, False


def _build_loop(
    prior: Prior,
    guidance: Guidance,
    config: SamplingConfig,
    choose: Choose,
    view: CanvasView,
    progress: CanvasProgress,
    new_cache: Callable[[int], Any] | None,
) -> TokenLoop:
    """The loop that draws one code a pass, or several."""
    sizes = view.model.codebook_size, len(view.cells)
    if config.speculative == 1:
        return TokenLoop(prior, guidance, config, choose, *sizes, new_cache)
    assert isinstance(choose, RacingChoice), "speculative sampling needs a race"
    known = view.with_known(progress.start)
    return SpeculativeLoop(prior, guidance, config, choose, *sizes, known, new_cache)


def _draw_windows(
    view: CanvasView, loop: TokenLoop, stride: int, progress: CanvasProgress
) -> Iterator[int]:
    """Draw the unknown cells of a canvas; their row-major numbers come out as they are drawn."""
    model = view.model

    def place(step: int, drawn: Tensor) -> Tensor:
        if progress.is_done_before(step):
            return view.codes_at(step)
        codes = view.place(step, drawn)
        progress.finish(step)
        return codes

    runs = progress.runs_to_draw(
        plan(view.height, view.width, model.grid_height, model.grid_width, stride)
    )
    kept = KeptWindows(runs)
    alike = view.alike_conditions()
    rows = len(view.masks) * len(view.codes)
    # Images that have their conditions in common read fewer tokens one window at a time.
    at_once = windows_at_once(view.codes.device, rows) if alike is None else 1
    for group in waves(runs, view.width, model.grid_width, at_once):
        # What is done is read again, the way it was read when it was drawn, as long as its
        # window comes back: read at once, its codes would be rounded differently.
        if all(progress.is_done_before(kept.last_step(run)) for run in group):
            continue
        if len(group) > 1:
            steps = loop.draw(view.contexts(group), [run.start for run in group], place)
            yield from map(view.cells.__getitem__, steps)
            continue
        (run,), context = group, view.contexts(group)
        if run is runs[0]:  # it has no drawn codes, only known ones, which may be alike too
            first = Alike.among(context, context.shape[1]) or alike
            steps = loop.run(context, run.steps, place, alike=first)
        else:
            steps = loop.run(context, run.steps, place, kept.take(run), alike)
        yield from map(view.cells.__getitem__, steps)
        kept.keep(run, loop.cache)
    loop.check_finite()


def _precision(
    config: SamplingConfig, device: torch.device
) -> contextlib.AbstractContextManager[object]:
    """Context in which the prior computes in the number format of a config."""
    if config.precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


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


def check_stride_of(stride: int, model: PriorModelConfig) -> None:
    """Refuse a stride that is not possible with a prior; see `check_stride`.

    Raises:
        InputError: it does not fit the window, or the prior has no windows.
    """
    if model.prior.kind == "local" and stride != 1:
        raise InputError(
            f"stride {stride} is for priors that read a window for each code; this one is local "
            "and reads each code once; leave it at 1"
        )
    check_stride(stride, model.grid_width)

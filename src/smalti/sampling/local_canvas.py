"""Draws and scores images of any size with the local prior, a pass over one token for each code.

Axes: B batch, P prefixes of the conditions (see `guidance`), H/W canvas in cells, K codebook size.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from smalti.prior.local.band import Band
from smalti.prior.local.model import LocalGPT
from smalti.sampling.canvas import CanvasView
from smalti.sampling.progress import CanvasProgress
from smalti.sampling.token_loop import TokenLoop


def draw_rows(
    prior: LocalGPT, view: CanvasView, loop: TokenLoop, progress: CanvasProgress
) -> Iterator[int]:
    """Draw the unknown cells of a canvas; their row-major numbers come out as they are drawn.

    Rows that were known from the beginning are read at once. What was drawn before a stop is read
    again code by code, the way it was drawn: at once, it would be rounded differently.
    """
    reader = CanvasReader(prior, view)
    unknown = view.unknown_steps()
    if not any(unknown):
        return
    last_row = max(step for step, is_unknown in enumerate(unknown) if is_unknown) // view.width
    for row in range(last_row + 1):
        steps = range(row * view.width, (row + 1) * view.width)
        if reader.reads_rows and not any(unknown[step] for step in steps):
            reader.read_row(row)
            continue
        for step in steps:
            logits = reader.logits(step)
            if progress.is_done_before(step):
                continue
            view.place(step, loop.draw_codes(logits, step))
            progress.finish(step)
            yield view.cells[step]
    loop.check_finite()


def score_rows(prior: LocalGPT, view: CanvasView) -> Iterator[Tensor]:
    """Logits (B, W, V) of the codes of each row of a canvas, given the codes before."""
    reader = CanvasReader(prior, view)
    for row in range(view.height):
        if reader.reads_rows:
            yield reader.read_row(row)
        else:
            steps = range(row * view.width, (row + 1) * view.width)
            yield torch.stack([reader.logits(step) for step in steps], dim=1)


class CanvasReader:
    """Reads a canvas with the local prior, from the top left.

    Args:
        prior: the prior, in eval mode.
        view: the canvas, its conditions and prefixes.
    """

    def __init__(self, prior: LocalGPT, view: CanvasView) -> None:
        self.view = view
        self.band: Band = prior.new_band(
            len(view.masks) * len(view.codes), view.height, view.width, view.grid_tokens()
        )
        self.band.read_globals(view.placeless_tokens(0, 0))
        window = (view.model.grid_height, view.model.grid_width)
        is_larger = (view.height, view.width) != window
        self.reads_rows = not (is_larger and view.conditioning.moves_with_window)
        """Whether all codes of a row have the same conditions, so that a row is read at once."""

    def logits(self, step: int) -> Tensor:
        """Logits (P * B, V) of the code of a step, given the canvas's codes before it.

        Steps follow each other, but for rows that `read_row` reads.
        """
        row, column = divmod(step, self.view.width)
        if column > 0:
            self._moved(row, column)
            return self.band.step(self._tokens(step - 1))
        if row > 0 and self.band.column < self.view.width - 1:
            self.band.step(self._tokens(step - 1))  # the last code of the row before
        self._moved(row, column)
        return self.band.begin_row()

    def read_row(self, row: int) -> Tensor:
        """Logits (P * B, W, V) of the codes of the next row, given the codes before each."""
        if row > 0 and self.band.column < self.view.width - 1:
            self.band.step(self._tokens(row * self.view.width - 1))
        return self.band.read_row(self.view.codes[:, row].repeat(len(self.view.masks), 1))

    def _tokens(self, step: int) -> Tensor:
        return self.view.codes_at(step).repeat(len(self.view.masks))

    def _moved(self, row: int, column: int) -> None:
        """Read the conditions that depend on where the window lies, where it has moved."""
        if not self.reads_rows:
            self.band.read_globals(self.view.placeless_tokens(row, column))

"""Which cells of a canvas are done: drawing that was stopped goes on from there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from smalti.sampling.window_plan import Run


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


class CanvasProgress:
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

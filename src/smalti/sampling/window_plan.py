"""The windows in which the codes of a large image are drawn, line by line.

Axes: H/W canvas in cells, h/w window in cells. A step is the number of a cell in the order of
drawing.
Reference: arXiv:2012.09841, Sec. 3.2 "Generating High-Resolution Images", Fig. 3.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from smalti.config import InputError


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

    @property
    def window(self) -> tuple[int, int]:
        """First row and first column of the window."""
        return self.top, self.left

    @property
    def steps(self) -> range:
        """Numbers of the steps."""
        return range(self.start, self.stop)

    def without_known(self, unknown: Sequence[bool]) -> "Run | None":
        """Shorten the run to its unknown cells, from the first to the last; None without any.

        Args:
            unknown: for each step, whether there is something to draw.
        """
        steps = [step for step in self.steps if unknown[step]]
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
        if runs and runs[-1].window == (top, left):
            runs[-1] = replace(runs[-1], stop=step + 1)
        else:
            offset = (row - top) * window_width + column - left
            runs.append(Run(top, left, offset, step, step + 1))
    return runs


def waves(runs: Sequence[Run], width: int, window_width: int, most: int) -> list[list[Run]]:
    """Order runs so that several rows are drawn at a time, each some columns behind that above it.

    Args:
        runs: runs line by line.
        width: W.
        window_width: w.
        most: how many runs may be drawn together; with 1 they stay line by line.

    Returns:
        Groups of runs, each to be drawn after those before it. The runs of a group do not need each
        other's codes. Only runs of one step are together, whose cells lie at the same place of
        their windows, and whose windows do not come back.
    """
    if most == 1:
        return [[run] for run in runs]
    visits = Counter(run.window for run in runs)
    rows: dict[int, deque[Run]] = {}
    for run in runs:
        rows.setdefault(run.start // width, deque()).append(run)
    groups: list[list[Run]] = []
    while rows:
        ready: list[Run] = []
        behind = width  # columns that are done in all rows above
        for row in sorted(rows):
            first = rows[row][0]
            if first.left + window_width <= behind:
                ready.append(rows[row].popleft())
            behind = min(behind, first.start % width)
        rows = {row: left for row, left in rows.items() if left}
        alike: dict[int, list[Run]] = defaultdict(list)
        for run in ready:
            if len(run.steps) == 1 and visits[run.window] == 1:
                alike[run.offset].append(run)
            else:
                groups.append([run])
        for group in alike.values():
            groups += [group[start : start + most] for start in range(0, len(group), most)]
    return groups


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

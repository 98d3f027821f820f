import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smalti.config import InputError
from smalti.sampling.window_plan import Run, check_stride, plan, waves, window_start


def test_one_window_is_one_run():
    assert plan(4, 5, 4, 5) == [Run(top=0, left=0, offset=0, start=0, stop=20)]
    assert plan(4, 5, 4, 5, stride=3) == plan(4, 5, 4, 5)


def test_plan_of_a_line_by_hand():
    lefts = [(s.left, s.offset, s.stop - s.start) for s in plan(1, 9, 1, 4)]
    assert lefts == [(0, 0, 3), (1, 2, 1), (2, 2, 1), (3, 2, 1), (4, 2, 1), (5, 2, 2)]
    lefts = [(s.left, s.offset, s.stop - s.start) for s in plan(1, 9, 1, 4, stride=2)]
    assert lefts == [(0, 0, 4), (2, 2, 2), (4, 2, 2), (5, 3, 1)]


sizes = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(0, 7), st.integers(0, 7))


@given(sizes=sizes, data=st.data())
def test_every_step_lies_in_its_window_behind_what_the_window_has_before(sizes, data):
    h, w, more_rows, more_columns = sizes
    height, width = h + more_rows, w + more_columns
    stride = data.draw(st.integers(1, w - w // 2))
    runs = plan(height, width, h, w, stride)
    steps = [step for s in runs for step in range(s.start, s.stop)]
    assert steps == list(range(height * width))
    for s in runs:
        assert 0 <= s.top <= height - h
        assert 0 <= s.left <= width - w
        for step in range(s.start, s.stop):
            row, column = divmod(step, width)
            local = divmod(s.offset + step - s.start, w)
            assert (s.top + local[0], s.left + local[1]) == (row, column)
            assert s.top == window_start(row, height, h)
            group = column - column % stride
            assert s.left == window_start(group, width, w)
    for before, after in itertools.pairwise(runs):
        assert (before.top, before.left) != (after.top, after.left)


@given(sizes=sizes, most=st.integers(1, 4), data=st.data())
def test_waves_draw_what_a_run_needs_before_it(sizes, most, data):
    h, w, more_rows, more_columns = sizes
    height, width = h + more_rows, w + more_columns
    runs = plan(height, width, h, w, data.draw(st.integers(1, w - w // 2)))
    groups = waves(runs, width, w, most)
    assert sorted(itertools.chain(*groups), key=lambda run: run.start) == runs
    done = set()
    for group in groups:
        assert len(group) <= most
        assert len({(run.offset, len(run.steps)) for run in group}) == 1
        for run in group:
            window = [divmod(cell, w) for cell in range(run.offset)]
            needed = {(run.top + row) * width + run.left + column for row, column in window}
            assert needed <= done
            done_with_window = [other.stop for other in runs if other.window == run.window]
            assert len(group) == 1 or done_with_window == [run.stop]
        done |= {step for run in group for step in run.steps}


def test_waves_by_hand():
    """Two rows of 8 cells, windows of 4: a row begins when that above has drawn 4 cells."""
    runs = plan(2, 8, 1, 4)
    assert waves(runs, 8, 4, 1) == [[run] for run in runs]
    groups = [[divmod(run.start, 8) for run in group] for group in waves(runs, 8, 4, 2)]
    assert groups[:4] == [[(0, 0)], [(0, 3)], [(1, 0)], [(0, 4)]]
    assert groups[4:] == [[(0, 5), (1, 3)], [(0, 6)], [(1, 4)], [(1, 5)], [(1, 6)]]


@pytest.mark.parametrize(("window", "most"), [(1, 1), (2, 1), (5, 3), (16, 8)])
def test_stride_that_leaves_its_window_is_refused(window, most):
    check_stride(most, window)
    for stride in (0, most + 1):
        with pytest.raises(InputError, match=f"stride {stride} is .* 1 to {most} for a window of"):
            check_stride(stride, window)

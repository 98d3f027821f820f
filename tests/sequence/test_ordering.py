import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smalti.config import InputError
from smalti.sequence.ordering import (
    ORDERINGS,
    Ordering,
    RowMajor,
    SpiralIn,
    Subsample,
    build_ordering,
)

sides = st.integers(1, 9)


odd_or_even = st.tuples(sides, sides)
even = st.tuples(sides.map(lambda half: 2 * half), sides.map(lambda half: 2 * half))
powers = st.tuples(*[st.sampled_from([1, 2, 4, 8, 16])] * 2)
DOMAINS = {"z_curve": powers, "subsample": even}
RELEASED = {
    "SpiralOut": "spiral_out",
    "ZCurve": "z_curve",
    "Subsample": "subsample",
    "AlternateParsing": "alternate",
    "SpiralIn": "spiral_in",
    "Random": "random",
}


def grid_of(name, height, width) -> list[list[int]]:
    """The place in the sequence of each cell."""
    return ORDERINGS[name](height, width).forward.argsort().view(height, width).tolist()


@pytest.mark.parametrize("name", list(ORDERINGS))
@given(data=st.data())
def test_every_ordering_is_a_permutation_that_codes_follow(name, data):
    height, width = data.draw(DOMAINS.get(name, odd_or_even))
    ordering = ORDERINGS[name](height, width)
    assert ordering.forward.dtype == torch.int64
    assert sorted(ordering.forward.tolist()) == list(range(height * width))
    codes = torch.arange(2 * height * width).view(2, height, width)
    first, second = ordering.to_tokens(codes)
    assert torch.equal(first, ordering.forward)
    assert torch.equal(second, ordering.forward + height * width)


def test_orderings_of_the_released_code(oracle_tensors):
    oracle = oracle_tensors("permuters")
    for key, expected in oracle.items():
        name, size, direction = key.split(".")
        forward = build_ordering(RELEASED[name], *map(int, size.split("x"))).forward
        ours = {"forward": forward, "backward": forward.argsort()}
        assert torch.equal(ours[direction], expected), key
    assert len(oracle) == 2 * (4 * 6 + 2)


@given(size=odd_or_even)
def test_a_spiral_goes_from_neighbour_to_neighbour(size):
    cells = SpiralIn(*size).forward
    rows, columns = cells // size[1], cells % size[1]
    assert (rows.diff().abs() + columns.diff().abs() == 1).all()
    assert cells[0] == size[0] * size[1] - 1


def test_the_spiral_of_an_odd_square_ends_in_its_center():
    assert grid_of("spiral_in", 3, 3) == [[4, 3, 2], [5, 8, 1], [6, 7, 0]]
    assert grid_of("spiral_out", 3, 3) == [[4, 5, 6], [3, 0, 7], [2, 1, 8]]


def test_an_oblong_spiral():
    assert grid_of("spiral_in", 2, 3) == [[3, 2, 1], [4, 5, 0]]


def test_a_z_curve_reads_an_oblong_grid_square_by_square():
    assert grid_of("z_curve", 2, 4) == [[0, 1, 4, 5], [2, 3, 6, 7]]
    assert grid_of("z_curve", 4, 2) == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_subsampling_ends_where_a_side_is_odd():
    """2 x 6 is read as four lines of three."""
    assert grid_of("subsample", 2, 6) == [[0, 3, 1, 4, 2, 5], [6, 9, 7, 10, 8, 11]]


@given(size=even)
def test_the_first_quarter_of_subsample_is_every_second_cell(size):
    first = Subsample(*size).forward[: size[0] * size[1] // 4]
    assert (first // size[1] % 2 == 0).all()
    assert (first % size[1] % 2 == 0).all()


def test_every_second_line_of_alternate_runs_back():
    assert grid_of("alternate", 3, 2) == [[0, 1], [3, 2], [4, 5]]


def test_the_seed_matters_to_random_only():
    for name in ORDERINGS:
        first, second = (build_ordering(name, 4, 4, seed).forward for seed in (1, 2))
        assert torch.equal(first, second) == (name != "random")


@pytest.mark.parametrize(
    ("name", "height", "width", "words"),
    [
        ("z_curve", 4, 6, "z_curve is not defined on a grid of 4 x 6: .* powers of two"),
        ("z_curve", 7, 8, "z_curve is not defined on a grid of 7 x 8"),
        ("subsample", 4, 3, "subsample is not defined on a grid of 4 x 3: .* must be even"),
        ("subsample", 5, 4, "subsample is not defined on a grid of 5 x 4"),
        ("spiral_outt", 4, 4, "unknown ordering 'spiral_outt'; did you mean 'spiral_out'"),
    ],
)
def test_what_is_not_defined_is_refused(name, height, width, words):
    with pytest.raises(InputError, match=words):
        build_ordering(name, height, width)


def test_row_major_reads_lines():
    codes = torch.tensor([[[1, 2, 3], [4, 5, 6]]])
    assert RowMajor(2, 3).to_tokens(codes).tolist() == [[1, 2, 3, 4, 5, 6]]


def test_forward_lists_the_cells_in_the_order_of_the_sequence():
    ordering = Ordering(torch.tensor([2, 0, 3, 1]))
    assert ordering.to_tokens(torch.tensor([[[10, 11], [12, 13]]])).tolist() == [[12, 10, 13, 11]]


@pytest.mark.parametrize("cells", [[0, 0], [1, 2], [[0, 1]], [-1, 0]])
def test_what_is_no_permutation_is_refused(cells):
    with pytest.raises(ValueError, match="must be a permutation"):
        Ordering(torch.tensor(cells))


def test_grid_of_another_size_is_refused():
    with pytest.raises(ValueError, match="has 6 cells, the grid 4"):
        RowMajor(2, 3).to_tokens(torch.zeros(1, 2, 2, dtype=torch.int64))

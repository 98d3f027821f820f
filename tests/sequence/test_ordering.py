import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smalti.sequence.ordering import ORDERINGS, Ordering, RowMajor

sides = st.integers(1, 9)


@pytest.mark.parametrize("name", list(ORDERINGS))
@given(height=sides, width=sides)
def test_every_ordering_is_undone_by_its_inverse(name, height, width):
    ordering = ORDERINGS[name](height, width)
    codes = torch.arange(2 * height * width).view(2, height, width)
    assert torch.equal(ordering.to_codes(ordering.to_tokens(codes), height, width), codes)


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


def test_tokens_for_a_grid_of_another_size_are_refused():
    with pytest.raises(ValueError, match="has 6 cells, the grid 4"):
        RowMajor(2, 3).to_codes(torch.zeros(1, 6, dtype=torch.int64), 2, 2)

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from smalti.prior.base import GridSizes, MapTokens
from smalti.prior.places import places_of
from smalti.prior.rotary import Rotation, rotate, rotation_of

CHANNELS = 16
CELLS = st.tuples(st.integers(0, 40), st.integers(0, 40))


def rotation_at(row: float, column: float) -> Rotation:
    return rotation_of(torch.tensor([[row, column]]), CHANNELS)


def product(q: Tensor, k: Tensor, at: tuple[float, float], to: tuple[float, float]) -> float:
    """How well a query at one place fits a key at another."""
    turned = rotate(q, rotation_at(*at)), rotate(k, rotation_at(*to))
    return float((turned[0] * turned[1]).sum())


def query_and_key() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(2, 1, 1, 1, CHANNELS, generator=generator).unbind()


@given(CELLS, CELLS, CELLS)
def test_a_product_depends_on_how_far_apart_two_cells_are(at, to, moved):
    q, k = query_and_key()
    both = [(cell[0] + moved[0], cell[1] + moved[1]) for cell in (at, to)]
    assert math.isclose(product(q, k, at, to), product(q, k, *both), abs_tol=1e-4)


def test_rows_and_columns_count_apart():
    q, k = query_and_key()
    products = {round(product(q, k, (5, 5), to), 4) for to in [(5, 5), (5, 6), (6, 5), (4, 5)]}
    assert len(products) == 4


@given(CELLS)
def test_a_token_without_a_place_is_compared_from_everywhere_alike(at):
    q, k = query_and_key()
    nowhere = (math.nan, math.nan)
    assert math.isclose(product(q, k, at, nowhere), product(q, k, (0, 0), nowhere), abs_tol=1e-5)
    assert product(q, k, at, nowhere) != 0


def test_places_of_a_sequence():
    sizes = GridSizes(9, 10, 5, 2, 3, maps=(MapTokens(1, 2, 2),), order=(5, 4, 3, 2, 1, 0))
    nowhere, expected = [-1.0, -1.0], [[0, 0.25], [0, 1.75], [1, 0.25], [1, 1.75]]
    image = [[1.0, 2.0], [1.0, 1.0], [1.0, 0.0], [0.0, 2.0], [0.0, 1.0]]
    assert places_of(sizes, 10).nan_to_num(nan=-1).tolist() == [nowhere, *expected, *image]

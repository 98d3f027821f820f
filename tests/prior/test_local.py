"""The local prior: who sees whom, and that the band computes what the whole image would."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from helpers.whole_image import whole_image
from smalti.prior.base import GridSizes, MapTokens
from smalti.prior.local.config import LocalConfig, Reach
from smalti.prior.local.model import LocalGPT
from smalti.prior.local.neighbourhood import GLOBAL, IMAGE
from smalti.prior.local.sequence import tokens_of

VOCABULARY = 9
SHAPE = {"layers": 3, "heads": 2, "width": 16, "dropout": 0}


def local_prior(sizes: GridSizes, **changes: object) -> LocalGPT:
    """A local prior in which every weight matters."""
    generator = torch.Generator().manual_seed(1)
    prior = LocalGPT(LocalConfig(**SHAPE, **changes), sizes)
    with torch.no_grad():
        for weight in prior.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.4)
    return prior.eval()


def sizes_of(height: int, width: int, maps: tuple[tuple[int, int], ...] = ()) -> GridSizes:
    """Sizes with one token without a place, then maps."""
    places, start = [], 1
    for rows, columns in maps:
        places.append(MapTokens(start, rows, columns))
        start += rows * columns
    return GridSizes(VOCABULARY, start + height * width - 1, start, height, width, tuple(places))


def drawn(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randint(VOCABULARY, shape, generator=generator)


@st.composite
def cases(draw):
    """A window, its neighbourhood, a larger image and maps of other grids."""
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    reach = {
        "neighbour_rows": draw(st.none() | st.integers(1, height)),
        "neighbour_columns": draw(st.none() | st.integers(1, width)),
    }
    more = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    finer = draw(st.lists(st.sampled_from([1, 2]), max_size=2))
    maps = tuple((height * times, width * times) for times in finer)
    canvas = [((height + more[0]) * times, (width + more[1]) * times) for times in finer]
    return sizes_of(height, width, maps), reach, (height + more[0], width + more[1]), canvas


@settings(max_examples=25, deadline=None)
@given(cases())
def test_the_band_computes_what_the_whole_image_would(case):
    sizes, reach, (height, width), map_sizes = case
    prior = local_prior(sizes, **reach)
    globals_, codes = drawn(2, 1), drawn(2, height, width)
    maps = [drawn(2, *size) for size in map_sizes]
    expected = whole_image(prior, globals_, maps, codes)
    by_step, by_row = (prior.new_band(2, height, width, maps) for _ in range(2))
    by_step.read_globals(globals_)
    by_row.read_globals(globals_)
    for row in range(height):
        logits = [by_step.begin_row()]
        logits += [by_step.step(codes[:, row, column]) for column in range(width)]
        found = torch.stack(logits[:-1], dim=1)
        torch.testing.assert_close(found, expected[:, row], rtol=1e-4, atol=1e-4)
        found = by_row.read_row(codes[:, row])
        torch.testing.assert_close(found, expected[:, row], rtol=1e-4, atol=1e-4)


@settings(max_examples=12, deadline=None)
@given(cases(), st.data())
def test_rows_may_be_read_at_once_or_code_by_code_in_turn(case, data):
    sizes, reach, (height, width), map_sizes = case
    prior = local_prior(sizes, **reach)
    globals_, codes = drawn(1, 1), drawn(1, height, width)
    maps = [drawn(1, *size) for size in map_sizes]
    expected = whole_image(prior, globals_, maps, codes)
    band = prior.new_band(1, height, width, maps)
    band.read_globals(globals_)
    for row in range(height):
        if data.draw(st.booleans()):
            found = band.read_row(codes[:, row])
        else:
            logits = [band.begin_row()]
            logits += [band.step(codes[:, row, column]) for column in range(width)]
            found = torch.stack(logits[:-1], dim=1)
        torch.testing.assert_close(found, expected[:, row], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("maps", [(), ((3, 4),), ((6, 8), (3, 4))])
def test_at_the_training_size_it_is_what_training_computed(maps):
    sizes = sizes_of(3, 4, maps)
    prior = local_prior(sizes)
    conditioning, codes = drawn(2, sizes.cond_length), drawn(2, 3, 4)
    tokens = torch.cat([conditioning, codes.flatten(1)[:, :-1]], dim=1)
    of_maps = [
        conditioning[:, t.start : t.start + t.rows * t.columns].view(2, t.rows, t.columns)
        for t in sizes.maps
    ]
    expected = whole_image(prior, conditioning[:, :1], of_maps, codes)
    found = prior.logits(tokens)[:, sizes.cond_length - 1 :]
    torch.testing.assert_close(found, expected.flatten(1, 2), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("reach", [(1, 1), (2, 3), (4, 4)])
def test_a_code_depends_on_its_neighbourhood_only_in_one_block(reach):
    """Which codes change the logits of the code at row 3, column 4 of an image of 5 x 8."""
    rows, columns = reach
    sizes = sizes_of(4, 4)
    prior = local_prior(sizes, neighbour_rows=rows, neighbour_columns=columns)
    del prior.blocks[1:]
    prior.config = prior.config.model_copy(update={"layers": 1})
    codes = drawn(1, 5, 8)
    before = whole_image(prior, drawn(1, 1), [], codes)[0, 3, 4]
    for row in range(5):
        for column in range(8):
            changed = codes.clone()
            changed[0, row, column] = (changed[0, row, column] + 1) % VOCABULARY
            after = whole_image(prior, drawn(1, 1), [], changed)[0, 3, 4]
            is_before = row < 3 or (row == 3 and column < 4)
            is_near = 0 <= 3 - row <= rows and abs(column - 4) <= columns
            assert torch.equal(after, before) == (not (is_before and is_near)), (row, column)


def test_an_image_is_computed_alike_wherever_it_lies():
    """Away from the edges, only what is around a code counts, and not its row and column."""
    prior = local_prior(sizes_of(4, 4), neighbour_rows=1, neighbour_columns=1)
    piece, codes = drawn(1, 4, 9), drawn(1, 9, 20)  # as far as three blocks see
    found = []
    for top, left in ((2, 4), (4, 10)):
        here = codes.clone()
        here[:, top : top + 4, left : left + 9] = piece
        found.append(whole_image(prior, drawn(1, 1), [], here)[0, top + 3, left + 2])
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


def test_no_more_rows_are_kept_than_the_neighbourhood_has():
    prior = local_prior(sizes_of(4, 4, ((4, 4),)), neighbour_rows=2)
    short, long = (prior.new_band(1, rows, 6, [drawn(1, rows, 6)]) for rows in (8, 80))
    assert short.nbytes == long.nbytes
    wide = prior.new_band(1, 8, 12, [drawn(1, 8, 12)])
    assert wide.nbytes < 2 * short.nbytes


def test_half_of_the_grid_is_the_default_neighbourhood():
    assert LocalConfig(**SHAPE).reach(16, 9) == Reach(8, 5)


@pytest.mark.parametrize("name", ["neighbour_rows", "neighbour_columns"])
def test_a_neighbourhood_beyond_the_grid_is_refused(name):
    with pytest.raises(ValueError, match="at most the grid's 4 rows and 4 columns"):
        LocalConfig(**SHAPE, **{name: 5}).reach(4, 4)


def test_heads_that_cannot_turn_are_refused():
    with pytest.raises(ValidationError, match="rotary positions need a multiple of 8"):
        LocalConfig(heads=4, width=16)


def test_beginnings_of_rows_and_maps_have_their_places():
    tokens = tokens_of(sizes_of(2, 2, ((1, 1), (4, 4))))
    assert tokens.kind.tolist() == [GLOBAL, 0, *[1] * 16, *[IMAGE] * 6]
    assert tokens.places[1].tolist() == [0.5, 0.5]
    assert tokens.places[2].tolist() == [-0.25, -0.25]
    assert tokens.places[-6:].tolist() == [[0, -1], [0, 0], [0, 1], [1, -1], [1, 0], [1, 1]]

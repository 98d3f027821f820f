import pytest
import torch

from smalti.metrics import neighbours
from smalti.metrics.neighbours import distances, is_within, nearest


@pytest.fixture(params=[(1024, 4096), (3, 4)], ids=["one block", "many blocks"])
def _blocks(monkeypatch, request):
    monkeypatch.setattr(neighbours, "BLOCK_ROWS", request.param[0])
    monkeypatch.setattr(neighbours, "BLOCK_COLUMNS", request.param[1])


@pytest.mark.usefixtures("_blocks")
def test_nearest_are_those_of_all_distances(generator):
    queries, references = (torch.rand(n, 5, generator=generator) for n in (11, 13))
    found = nearest(queries, references, 4)
    away, order = torch.cdist(queries.double(), references.double()).sort()
    torch.testing.assert_close(found.distances, away[:, :4])
    assert torch.equal(found.numbers, order[:, :4])


@pytest.mark.usefixtures("_blocks")
def test_an_image_is_no_neighbour_of_itself_but_its_copy_is(generator):
    features = torch.rand(10, 5, generator=generator)
    features[7] = features[2]
    found = nearest(features, features, 9, skip_same_row=True)
    for row, numbers in enumerate(found.numbers.tolist()):
        assert sorted([*numbers, row]) == list(range(10))
    assert (found.numbers[2, 0], found.numbers[7, 0]) == (7, 2)
    assert found.distances[2, 0] == found.distances[7, 0] == 0.0
    assert found.distances[0, 0] > 0.0


@pytest.mark.usefixtures("_blocks")
def test_balls_hold_what_is_not_farther_than_their_radius():
    centres = torch.arange(0.0, 100.0, 10.0)[:, None]
    queries = torch.tensor([[3.0], [4.0], [63.0], [99.0]])
    radii = torch.full((10,), 3.0, dtype=torch.float64)
    assert is_within(queries, centres, radii).tolist() == [True, False, True, False]


def test_equal_features_have_no_distance_however_long_they_are(generator):
    features = 1e4 + torch.rand(50, 2048, generator=generator).double()
    away = distances(features, features.clone())
    assert torch.equal(away.diagonal(), torch.zeros(50).double())
    assert away.fill_diagonal_(1.0).min() > 0.1

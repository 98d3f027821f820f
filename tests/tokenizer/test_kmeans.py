import torch
from torch import Tensor

from smalti.tokenizer import kmeans as module
from smalti.tokenizer.kmeans import kmeans
from smalti.tokenizer.nearest import nearest_entries


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blobs() -> Tensor:
    """300 vectors (300, 2) close to three far corners."""
    corners = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    return corners.repeat(100, 1) + 0.1 * torch.randn(300, 2, generator=draw(1))


def test_each_centre_is_the_mean_of_the_vectors_nearest_to_it() -> None:
    centres = kmeans(blobs(), 5, iterations=30, generator=draw())
    chosen = nearest_entries(blobs(), centres)
    means = torch.stack([blobs()[chosen == number].mean(0) for number in range(5)])
    torch.testing.assert_close(centres, means)


def test_more_iterations_represent_the_vectors_better() -> None:
    errors = []
    for count in (0, 2, 20):
        centres = kmeans(blobs(), 10, count, draw())
        nearest = centres[nearest_entries(blobs(), centres)]
        errors.append(float((blobs() - nearest).square().sum(1).mean()))
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 0.75 * errors[0]


def test_the_same_generator_gives_the_same_centres() -> None:
    first, second = (kmeans(blobs(), 20, 5, draw(3)) for _ in range(2))
    assert torch.equal(first, second)


def test_as_many_clusters_as_distinct_vectors_are_those_vectors() -> None:
    distinct = torch.tensor([[0.0], [1.0], [2.0], [5.0]])
    repeated = torch.cat([distinct, distinct[:1].repeat(500, 1)])
    centres = kmeans(repeated, 4, iterations=3, generator=draw())
    assert centres.flatten().sort().values.tolist() == [0.0, 1.0, 2.0, 5.0]


def test_a_centre_without_vectors_moves_to_the_worst_represented_one() -> None:
    vectors = torch.tensor([[0.0], [1.0], [9.0]])
    centres = torch.tensor([[0.0], [100.0]])
    averaged = module._averaged(vectors, centres)
    torch.testing.assert_close(averaged, torch.tensor([[10 / 3], [9.0]]))

"""Positions of a new transformer: alike where the same place is shown, zero without maps."""

import pytest
import torch

from smalti.conditions.class_label import ClassLabelConfig
from smalti.conditions.maps import EdgesConfig
from smalti.content import EdgesContent
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT
from smalti.sampling.prior_model import PriorModelConfig
from smalti.training.prior.aligned_positions import align_positions

K, HEIGHT, WIDTH = 8, 4, 6
LENGTH = HEIGHT * WIDTH


def positions_of(conditioners, ordering="row_major") -> tuple[PriorModelConfig, torch.Tensor]:
    model = PriorModelConfig(
        prior=GPT2Config(layers=1, heads=2, width=16, dropout=0),
        vocab_size=64,
        max_length=100,
        codebook_size=K,
        conditioners=conditioners,
        ordering=ordering,
        grid_height=HEIGHT,
        grid_width=WIDTH,
    )
    prior = GPT(model.prior, model.sizes)
    align_positions(prior, model, torch.Generator().manual_seed(0))
    return model, prior.position_embedding.detach()


def edges(rows: int, columns: int) -> EdgesConfig:
    grid = {"grid_height": rows, "grid_width": columns}
    return EdgesConfig(content=EdgesContent(), codebook_size=K, **grid)


CLASSES = ClassLabelConfig(class_names=("cat", "dog"))


@pytest.mark.parametrize("ordering", ["row_major", "spiral_out"])
def test_code_of_the_map_and_the_position_that_predicts_its_place_begin_alike(ordering):
    model, positions = positions_of((CLASSES, edges(HEIGHT, WIDTH)), ordering)
    of_map = positions[1 : 1 + LENGTH]
    predicting = positions[LENGTH : 2 * LENGTH]
    places = model.build_ordering().forward
    for step in range(1, LENGTH):  # the first stands at the map's last code, and has both vectors
        if places[step] != LENGTH - 1:
            assert torch.equal(predicting[step], of_map[places[step]])
    assert len(predicting[1:].unique(dim=0)) == LENGTH - 1
    assert not positions[0].any()  # the class shows no place


def test_every_cell_of_a_finer_map_begins_like_the_cell_that_it_is_in():
    _, positions = positions_of((edges(2 * HEIGHT, WIDTH),))
    of_map = positions[: 2 * LENGTH].view(2 * HEIGHT, WIDTH, -1)
    assert torch.equal(of_map[0::2][:-1], of_map[1::2][:-1])


def test_prior_without_maps_begins_with_zeros():
    _, positions = positions_of((CLASSES,))
    assert not positions.any()

"""Initial position embeddings that are alike where condition and image show the same place.

A map stands before the image as a line of codes, and the transformer must learn which of them shows
the place of the code that it draws. From zero embeddings it begins to learn this only after more
steps than a small run has.

Axes: h/w latent grid, W width, S conditioning tokens, L image tokens.
"""

import torch
from torch import Tensor

from smalti.prior.gpt.model import GPT
from smalti.sampling.prior_model import PriorModelConfig

DEVIATION = 0.02  # as that of the embeddings of tokens


@torch.no_grad()
def align_positions(prior: GPT, model: PriorModelConfig, generator: torch.Generator) -> None:
    """Draw a random vector for each cell of the image, and add it to the positions of the cell.

    These are the positions of the codes of maps that show the cell, and the position that predicts
    its code. A prior without maps is left as it is.

    Args:
        prior: a new prior on the CPU, whose position embeddings (S + L - 1, W) change in place.
        model: conditions, ordering and grid of the prior.
        generator: generator of the vectors.

    Deviation: the released code begins with zeros.
    """
    layout, conditioning = model.layout, model.build_conditioning()
    if all(condition.picture_grid is None for condition in conditioning.conditions):
        return
    positions = prior.position_embedding
    shape = (model.grid_height, model.grid_width, positions.shape[1])
    cells = DEVIATION * torch.randn(shape, generator=generator)
    start = 0
    for condition in conditioning.conditions:
        if condition.picture_grid is not None:
            shown = _resampled(cells, *condition.picture_grid)
            positions[start : start + condition.length] += shown
        start += condition.length
    in_order = cells.flatten(0, 1)[model.build_ordering().forward]
    predicting = slice(layout.cond_length - 1, layout.input_length)
    positions[predicting] += in_order


def _resampled(cells: Tensor, rows: int, columns: int) -> Tensor:
    """Vectors (rows * columns, W) of the nearest of cells (h, w, W), for a grid of another size."""
    row = torch.arange(rows) * cells.shape[0] // rows
    column = torch.arange(columns) * cells.shape[1] // columns
    return cells[row][:, column].flatten(0, 1)

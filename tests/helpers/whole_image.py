"""The local prior over an image of any size, with one mask over all tokens."""

import torch
from torch import Tensor

from smalti.prior.local.model import LocalGPT
from smalti.prior.local.neighbourhood import GLOBAL, Tokens, joined, visible
from smalti.prior.local.sequence import image_grid, map_grid
from smalti.prior.rotary import rotation_of


@torch.no_grad()
def whole_image(prior: LocalGPT, globals_: Tensor, maps: list[Tensor], codes: Tensor) -> Tensor:
    """Logits (B, h, w, V) of all codes of an image, with one mask over all tokens."""
    _, height, width = codes.shape
    count = globals_.shape[1]
    nowhere = torch.full((count, 2), torch.nan)
    grids = [map_grid(n, prior.sizes, *tokens.shape[1:]) for n, tokens in enumerate(maps)]
    grids.append(image_grid(height, width))
    tokens = joined(
        Tokens(torch.full((count,), GLOBAL), nowhere),
        *(grid.tokens(range(len(grid.places))) for grid in grids),
    )
    mask = visible(tokens, tokens, prior.reach)
    embedded = [prior.embed_globals(globals_)]
    embedded += [prior.token_embedding(tokens).flatten(1, 2) for tokens in maps]
    x = torch.cat([*embedded, prior.embed_rows(codes).flatten(1, 2)], dim=1)
    rotation = rotation_of(tokens.places, prior.config.block.head_channels)
    for block in prior.layers:

        def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            scores = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(~mask, -torch.inf)
            return scores.softmax(-1) @ v

        x = block(x, attend, rotation)
    logits = prior.head(prior.norm(x[:, -height * (width + 1) :]))
    return logits.view(len(codes), height, width + 1, -1)[:, :, :-1]

"""Draws pictures of a codebook: each code alone, and in the places where it is used.

Axes: B batch, H/W image size in pixels, h/w latent grid, K codebook size, f down-sampling factor.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor

from smalti.content_images import content_images
from smalti.sampling.sheet import contact_sheet
from smalti.tokenizer.base import Tokenizer

ALONE = 256  # codes shown alone, at most
IN_CONTEXT = 48  # codes shown where they are used, at most
PLACES = 5  # of each of them
TILE_PX = 32  # side of a tile in the picture
ALONE_CELLS = 5  # side of the grid that is filled with one code; the middle is shown
CONTEXT_CELLS = 3  # side of the surroundings of a place, in codes; the code is in the middle
DECODED_AT_ONCE = 64  # grids, to keep memory small


def codebook_pictures(tokenizer: Tokenizer, images: Tensor) -> Mapping[str, Image.Image]:
    """Draw the codes that some images use, most-used first, with a tokenizer in eval mode.

    Returns:
        `codes` has each code decoded alone. `codes_in_context` has a row for each of the most used:
        first the code alone, then reconstructions with the code in the middle. It is left out if
        the grid is too small to have a middle.
    """
    codes = tokenizer.encode(images)
    used = most_used(codes, tokenizer.codebook_size)
    decoded = decode_alone(tokenizer, used[:ALONE])
    alone = [_tile(tokenizer, image) for some in decoded for image in some]
    pictures = {"codes": contact_sheet(alone)}
    rows = _rows_in_context(tokenizer, codes, used[:IN_CONTEXT].tolist(), alone)
    if rows:
        pictures["codes_in_context"] = contact_sheet(rows, columns=3)
    return pictures


def most_used(codes: Tensor, codebook_size: int) -> Tensor:
    """Codes (n,) int64 that occur in codes (B, h, w), most frequent first; ties by number."""
    counts = torch.bincount(codes.flatten(), minlength=codebook_size)
    order = counts.argsort(descending=True, stable=True)
    return order[: int((counts > 0).sum())]


def decode_alone(
    tokenizer: Tokenizer, codes: Tensor, at_once: int = DECODED_AT_ONCE
) -> Iterator[Tensor]:
    """Decode each of codes (n,) alone: the middle of an image made of that code only.

    Yields:
        Images (m, ..., f, f) of the tokenizer's content, of the next m <= `at_once` codes.
    """
    f = tokenizer.downsampling_factor
    middle = slice((ALONE_CELLS // 2) * f, (ALONE_CELLS // 2 + 1) * f)
    for some in torch.split(codes, at_once):
        grids = some.view(-1, 1, 1).expand(-1, ALONE_CELLS, ALONE_CELLS)
        yield tokenizer.decode(grids)[..., middle, middle]


def _rows_in_context(
    tokenizer: Tokenizer, codes: Tensor, chosen: Sequence[int], alone: Sequence[Image.Image]
) -> list[Image.Image]:
    """Draw a strip of tiles for each chosen code; places at the border are left out."""
    margin = CONTEXT_CELLS // 2
    inner = codes[:, margin:-margin, margin:-margin]
    if not inner.numel():
        return []
    reconstructions = tokenizer.decode(codes)
    size = CONTEXT_CELLS * tokenizer.downsampling_factor
    empty = Image.new("RGB", (TILE_PX, TILE_PX), "white")
    rows: list[Image.Image] = []
    for code, tile in zip(chosen, alone, strict=False):
        tiles = [tile]
        for number, row, column in (inner == code).nonzero()[:PLACES].tolist():
            # Cell (row, column) of the inner grid has its surroundings' corner there in the whole.
            top, left = (place * tokenizer.downsampling_factor for place in (row, column))
            patch = reconstructions[number, ..., top : top + size, left : left + size]
            tiles.append(_tile(tokenizer, patch))
        tiles += [empty] * (1 + PLACES - len(tiles)) + [empty]  # the last divides the rows
        rows.append(contact_sheet(tiles, columns=len(tiles)))
    return rows


def _tile(tokenizer: Tokenizer, image: Tensor) -> Image.Image:
    """Enlarge a small image to the size of the tiles, with visible pixels."""
    drawn = content_images(tokenizer.content).draw(image)
    return drawn.resize((TILE_PX, TILE_PX), Image.Resampling.NEAREST)

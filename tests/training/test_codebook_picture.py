"""Pictures of a codebook whose codes are grey values."""

import torch
from PIL import Image
from torch import Tensor

from smalti.content import RGBContent
from smalti.sampling.sheet import MARGIN_PX
from smalti.training.vqgan.codebook_picture import TILE_PX, codebook_pictures, most_used

STEP = TILE_PX + MARGIN_PX


class GreyTokenizer:
    """Code c is a square of 2x2 pixels of grey value c / 8 - 1."""

    content = RGBContent()
    codebook_size, downsampling_factor = 16, 2

    def encode(self, images: Tensor) -> Tensor:
        return ((images[:, 0, ::2, ::2] + 1) * 8).long()

    def decode(self, codes: Tensor) -> Tensor:
        images = (codes.float() / 8 - 1)[:, None].expand(-1, 3, -1, -1)
        return images.repeat_interleave(2, 2).repeat_interleave(2, 3)


def images_of(codes: list[list[int]]) -> Tensor:
    return GreyTokenizer().decode(torch.tensor([codes]))


def grey(code: int) -> int:
    return round(code / 8 * 127.5)


def tiles_of(sheet: Image.Image, row: int, count: int) -> list[int]:
    """Grey value in the middle of each of the first tiles of a row."""
    middle = TILE_PX // 2
    return [sheet.getpixel((middle + n * STEP, middle + row * STEP))[0] for n in range(count)]


def test_most_used_come_first():
    assert most_used(torch.tensor([[[5, 3, 3], [9, 9, 9]]]), 16).tolist() == [9, 3, 5]


def test_each_used_code_is_shown_alone():
    pictures = codebook_pictures(GreyTokenizer(), images_of([[4, 4, 4], [4, 8, 4], [2, 8, 4]]))
    assert pictures["codes"].size == (2 * STEP - MARGIN_PX, 2 * STEP - MARGIN_PX)
    assert tiles_of(pictures["codes"], 0, 2) == [grey(4), grey(8)]
    assert tiles_of(pictures["codes"], 1, 2) == [grey(2), 255]  # white: there are only three


def test_context_shows_a_code_in_the_middle_of_its_surroundings():
    images = images_of([[4, 4, 4, 8], [4, 8, 2, 4], [4, 4, 4, 4]])
    sheet = codebook_pictures(GreyTokenizer(), images)["codes_in_context"]
    strip = (sheet.width + MARGIN_PX) // 3
    strips = [sheet.crop((n * strip, 0, (n + 1) * strip, TILE_PX)) for n in range(3)]
    shown = [tiles_of(picture, 0, 3) for picture in strips]
    # The most used, 4, is at the border only; 8 and 2 are inside once each.
    assert shown == [[grey(4), 255, 255], [grey(8), grey(8), 255], [grey(2), grey(2), 255]]
    # Upper right of the 8 inside stands a 4, of the 2 the other 8.
    corners = [picture.getpixel((STEP + TILE_PX - 1, 0))[0] for picture in strips[1:]]
    assert corners == [grey(4), grey(8)]


def test_grid_without_a_middle_has_no_contexts():
    pictures = codebook_pictures(GreyTokenizer(), images_of([[1, 2], [3, 4]]))
    assert list(pictures) == ["codes"]

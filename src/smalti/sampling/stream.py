"""What comes out while images are drawn: cells with their codes, and at the end the pictures.

Axes: n images, H/W grid of codes, K codebook size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

GROUP_SECONDS = 0.03
"""Time after which the cells drawn so far are handed over. A prior on a processor needs about as
long for one; on a graphics card each look at the codes makes it wait, so several come together."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of an image, and the code that was drawn there."""

    image: int
    """Number of the image, from 0."""
    row: int
    column: int
    code: int
    """In [0, K)."""


@dataclass(frozen=True, slots=True)
class DrawnCells:
    """Cells that were drawn since the event before."""

    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class DrawnPictures:
    """The finished images."""

    codes: Tensor
    """(n, H, W) int64 in [0, K), on the device of the prior."""
    pictures: list[Image.Image]
    """n pictures, as `Pipeline.sample` returns them."""


def drawn_cells(codes: Tensor, images: range, numbers: Sequence[int]) -> DrawnCells:
    """Read cells of a batch from a canvas; a graphics card is waited for once.

    Args:
        codes: (n, H, W) int64 in [0, K).
        images: numbers of the batch's images.
        numbers: row-major numbers of the cells.
    """
    width = codes.shape[2]
    wanted = torch.tensor(numbers, device=codes.device)
    by_image = codes[images.start : images.stop].flatten(1)[:, wanted].tolist()
    return DrawnCells(
        tuple(
            Cell(image, *divmod(number, width), code)
            for image, of_image in zip(images, by_image, strict=True)
            for number, code in zip(numbers, of_image, strict=True)
        )
    )

"""Puts several pictures of one size into one picture."""

import math
from collections.abc import Sequence

from PIL import Image

MARGIN_PX = 2


def contact_sheet(pictures: Sequence[Image.Image], columns: int | None = None) -> Image.Image:
    """Arrange pictures side by side on white, row by row.

    Args:
        pictures: at least one, all of one size, of modes that Pillow converts to RGB.
        columns: pictures in a row; None makes the sheet about square.
    """
    width, height = pictures[0].size
    columns = columns or math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    step_x, step_y = width + MARGIN_PX, height + MARGIN_PX
    size = columns * step_x - MARGIN_PX, rows * step_y - MARGIN_PX
    sheet = Image.new("RGB", size, "white")
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        sheet.paste(picture, (column * step_x, row * step_y))
    return sheet

"""Several pictures of one size in one picture, and poses as pictures."""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw
from torch import Tensor

from smalti.content import label_colours

MARGIN_PX = 2
JOINT_SHARE = 1 / 64  # radius of a joint's dot in the picture's longer side


def contact_sheet(pictures: Sequence[Image.Image], columns: int | None = None) -> Image.Image:
    """Pictures side by side on white, row by row.

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


def pose_picture(joints: Tensor, height: int, width: int) -> Image.Image:
    """A dot for each joint that is seen, on black; each joint has its own colour.

    Args:
        joints: (joints, 3) float: x and y in pixels, and above 0 where it is seen.
        height: of the picture in pixels.
        width: of the picture in pixels.
    """
    picture = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(picture)
    radius = max(1.0, JOINT_SHARE * max(height, width))
    for (x, y, seen), colour in zip(joints.tolist(), label_colours(len(joints)), strict=True):
        if seen > 0:
            pen.circle((x, y), radius, fill=tuple(colour.tolist()))
    return picture

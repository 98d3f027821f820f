"""Puts samples of this page side by side.

    python docs/results/pictures/compose.py FOLDER

FOLDER holds `in` (see inputs.py) and the folders that the commands of the page wrote.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from inputs import FRAMES
from PIL import Image

from smalti.content_images import label_colours

HERE = Path(__file__).parent
GAP = 2


def sheet(rows: Sequence[Sequence[Image.Image]], scale: int = 1) -> Image.Image:
    """Pictures of one size in rows and columns."""
    width, height = (side * scale for side in rows[0][0].size)
    whole = Image.new("RGB", ((width + GAP) * len(rows[0]), (height + GAP) * len(rows)), "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            large = picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
            whole.paste(large, (x * (width + GAP), y * (height + GAP)))
    return whole


def coloured(path: Path) -> Image.Image:
    """A label map in colours."""
    return Image.fromarray(label_colours(12)[np.asarray(Image.open(path))])


def samples(folder: Path, count: int) -> list[Image.Image]:
    """The first samples of a folder."""
    return [Image.open(folder / f"{number:04d}.png") for number in range(count)]


def main() -> None:
    """Write the pictures beside this file."""
    runs = Path(sys.argv[1])
    classes = samples(runs / "classes_samples", 80)
    rows = [classes[row * 10 : row * 10 + 10] for row in range(8)]
    sheet(rows, scale=2).save(HERE / "classes.jpg", quality=90)
    painted = [coloured(runs / "in/painted.png"), *samples(runs / "painted_samples", 6)]
    sheet([painted]).save(HERE / "painted.jpg", quality=90)
    wide = [coloured(runs / "in/wide.png"), *samples(runs / "wide", 1)]
    sheet([[one] for one in wide]).save(HERE / "wide.jpg", quality=90)
    holes = [
        [Image.open(runs / f"in/frame_{number}.png"), *samples(runs / f"hole_{number}", 2)]
        for number in FRAMES
    ]
    sheet([[picture for row in holes for picture in row]]).save(HERE / "holes.jpg", quality=90)


if __name__ == "__main__":
    main()

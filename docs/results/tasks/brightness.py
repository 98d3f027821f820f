"""How much brighter the upper third of pictures is than the lower one, of 255.

    python docs/results/tasks/brightness.py coordinates/double.jpg --side 192

Each row of the sheet is one setting of sampling; the mean, lowest and highest of its pictures are
printed.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from smalti.sampling.sheet import MARGIN_PX


def main() -> None:
    """Read a contact sheet of square pictures, and print a line for each row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--side", type=int, required=True, help="of a picture, in pixels")
    options = parser.parse_args()
    side, step = options.side, options.side + MARGIN_PX
    with Image.open(options.sheet) as picture:
        grey = np.asarray(picture.convert("L"), dtype=np.float64)
    for top in range(0, grey.shape[0], step):
        columns = range(0, grey.shape[1], step)
        pictures = [grey[top : top + side, left : left + side] for left in columns]
        found = [one[: side // 3].mean() - one[-side // 3 :].mean() for one in pictures]
        print(f"mean {np.mean(found):.0f}, lowest {min(found):.0f}, highest {max(found):.0f}")


if __name__ == "__main__":
    main()

"""Random pictures in place of a data set that is missing, to plan a study before it is there."""

from pathlib import Path

import numpy as np
from PIL import Image

from smalti.reproduce.data_sets import DataSet

PICTURES = 24
CLASSES = 12


def write_stand_in(folder: Path, data: DataSet) -> Path:
    """Write a folder of random pictures, and of maps where the data set has some.

    Args:
        folder: new folder.
        data: the data set in whose place they are.
    """
    random = np.random.default_rng(0)
    side = data.side_px
    (folder / "images").mkdir(parents=True)
    if data.maps != "images":
        (folder / data.maps).mkdir()
    for number in range(PICTURES):
        pixels = random.integers(0, 256, (side, side, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        if data.maps == "segmentations":
            labels = random.integers(0, CLASSES, (side, side), np.uint8)
            Image.fromarray(labels).save(folder / data.maps / f"{number}.png")
        elif data.maps == "depths":
            depths = random.integers(0, 2**16, (side, side), np.uint16)
            Image.fromarray(depths).save(folder / data.maps / f"{number}.png")
    return folder

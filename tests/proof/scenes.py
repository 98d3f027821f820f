"""A small data set with all that a prior may be told, cut from scikit-image's photographs."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

HEIGHT_PX, WIDTH_PX = 104, 120
CLASSES = 12
JOINTS = 17  # COCO's
WRITTEN_AT = 1_000_000_000  # in seconds since 1970: a data set's hash goes by the files' times

Picture = NDArray[np.uint8]


def write_data(root: Path) -> None:
    """Write the folders `scenes`, `classes` and `asked`, always with the same bytes and times."""
    for number, picture in enumerate(_pieces()):
        name = f"{number:02}"
        _save(picture, root / f"classes/{'person' if number < 12 else 'cat'}/{name}.png")
        _save(picture, root / f"scenes/images/{name}.png")
        _save(_labels(picture), root / f"scenes/segmentations/{name}.png")
        _save(_depth(picture), root / f"scenes/depths/{name}.png")
        path = root / f"scenes/keypoints/{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"keypoints": _pose(number)}), encoding="utf-8")
    first = next(_pieces())
    for height, width in ((64, 64), (96, 80)):
        picture = first[:height, :width]
        size = f"{height}x{width}"
        _save(picture, root / f"asked/photo-{size}.png")
        _save(picture[::4, ::4], root / f"asked/small-{size}.png")
        _save(_labels(picture), root / f"asked/labels-{size}.png")
        _save(_depth(picture), root / f"asked/depth-{size}.png")
    for path in root.rglob("*.*"):
        os.utime(path, (WRITTEN_AT, WRITTEN_AT))


def _pieces() -> Iterator[Picture]:
    for photograph in (data.astronaut(), data.chelsea()):
        for number in range(12):
            top, left = 60 * (number // 4), 80 * (number % 4)
            yield photograph[top : top + HEIGHT_PX, left : left + WIDTH_PX]


def _labels(picture: Picture) -> Picture:
    return (picture.mean(2) * CLASSES / 256).astype(np.uint8)


def _depth(picture: Picture) -> NDArray[np.uint16]:
    return (257 * picture.mean(2)).astype(np.uint16)


def _pose(number: int) -> list[float]:
    """x, y and visibility of each joint."""
    x = np.arange(JOINTS) * WIDTH_PX / JOINTS
    y = (x * (number + 1)) % HEIGHT_PX
    return np.stack([x, y, np.full(JOINTS, 2)], 1).round(1).flatten().tolist()


def _save(pixels: NDArray[np.generic], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)

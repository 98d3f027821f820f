"""Makes the inputs of the pictures of this page from CamVid's validation frames.

    python docs/results/pictures/inputs.py camvid-val.tar FOLDER

FOLDER/painted.png   a label map of 96x128 pixels, painted here by hand as a few polygons
FOLDER/wide.png      a label map of 128x1008: one frame's map, and its mirror image in turn
FOLDER/frame_N.png   frames of 128x168, at the scale of the training
FOLDER/hole.png      a mask of that size: white is made anew
"""

import argparse
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

HEIGHT, WIDTH = 128, 168
"""Pixels of a frame at the scale of the training, cropped to multiples of 8."""
FRAMES = (10, 22, 44)
"""Frames to complete, of 51."""
WIDE_FRAME = 30
"""Frame whose map is repeated."""
REPEATS = 6

SKY, BUILDING, ROAD, PAVEMENT, TREE, CAR, PERSON = 0, 1, 3, 4, 5, 8, 9


def painted_map() -> Image.Image:
    """A street with houses to its left, trees to its right, a car and two persons."""
    labels = Image.new("L", (128, 96), SKY)
    draw = ImageDraw.Draw(labels)
    draw.polygon([(0, 4), (34, 26), (46, 52), (0, 80)], fill=BUILDING)
    draw.ellipse([72, 14, 116, 66], fill=TREE)
    draw.ellipse([96, 4, 146, 86], fill=TREE)
    draw.polygon([(0, 76), (46, 50), (82, 50), (128, 70), (128, 96), (0, 96)], fill=PAVEMENT)
    draw.polygon([(14, 96), (54, 50), (74, 50), (128, 84), (128, 96)], fill=ROAD)
    draw.rounded_rectangle([72, 50, 92, 64], 3, fill=CAR)
    draw.rounded_rectangle([30, 54, 34, 70], 1, fill=PERSON)
    draw.rounded_rectangle([37, 52, 41, 66], 1, fill=PERSON)
    return labels


def opened(archive: tarfile.TarFile, name: str) -> Image.Image:
    """A picture of an archive."""
    member = archive.extractfile(name)
    assert member is not None
    return Image.open(BytesIO(member.read()))


def shrunk(picture: Image.Image, how: Image.Resampling) -> Image.Image:
    """A frame, or its map, as the training sees it: 128 pixels high."""
    width = round(picture.width * HEIGHT / picture.height)
    return picture.resize((width, HEIGHT), how).crop((0, 0, WIDTH, HEIGHT))


def wide_map(labels: Image.Image) -> Image.Image:
    """A map and its mirror image in turn, from left to right."""
    parts = [labels if number % 2 == 0 else ImageOps.mirror(labels) for number in range(REPEATS)]
    return Image.fromarray(np.concatenate([np.asarray(part) for part in parts], axis=1))


def main() -> None:
    """Write all inputs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    painted_map().save(options.out / "painted.png")
    with tarfile.open(options.archive) as archive:
        maps = sorted(name for name in archive.getnames() if name.startswith("segmentations/"))
        wide = shrunk(opened(archive, maps[WIDE_FRAME]), Image.Resampling.NEAREST)
        wide_map(wide).save(options.out / "wide.png")
        for number in FRAMES:
            name = maps[number].replace("segmentations/", "images/").replace(".png", ".jpg")
            frame = shrunk(opened(archive, name).convert("RGB"), Image.Resampling.LANCZOS)
            frame.save(options.out / f"frame_{number}.png")
    mask = Image.new("L", (WIDTH, HEIGHT), 0)
    ImageDraw.Draw(mask).rectangle([56, 32, 111, 95], fill=255)
    mask.save(options.out / "hole.png")


if __name__ == "__main__":
    main()

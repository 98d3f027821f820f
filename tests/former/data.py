"""Write `former/scenes`: tiny photographs of two classes, with maps and keypoints beside them."""

import json
import os
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

COUNT, SIZE_PX = 24, (24, 20)  # width, height
JOINTS = 17  # COCO's

for number in range(COUNT):
    photograph = Image.fromarray(data.chelsea() if number % 2 else data.astronaut())
    left, top = 40 * (number % 8), 60 * (number // 8)
    picture = photograph.crop((left, top, left + 96, top + 80)).resize(SIZE_PX)
    grey = np.asarray(picture.convert("L"))
    x = np.arange(JOINTS) + number % 4
    pose = np.stack([x, (7 * x + number) % SIZE_PX[1], np.full(JOINTS, 2)], 1)
    name = f"{'cat' if number % 2 else 'person'}/{number:02}"
    for kind, drawn in (
        ("images", picture),
        ("segmentations", Image.fromarray(grey // 64)),
        ("depths", Image.fromarray(grey)),
    ):
        path = Path(f"former/scenes/{kind}/{name}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.save(path)
    path = Path(f"former/scenes/keypoints/{name}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"keypoints": pose.flatten().tolist()}), encoding="utf-8")

# What samples are asked for: the first scene, cropped to the size of the training.
asked = Path("former/asked")
asked.mkdir()
for name, kind in (("photo", "images"), ("labels", "segmentations"), ("depth", "depths")):
    with Image.open(f"former/scenes/{kind}/person/00.png") as picture:
        picture.crop((0, 0, 16, 16)).save(asked / f"{name}.png")
with Image.open(asked / "photo.png") as picture:
    picture.resize((8, 8)).save(asked / "small.png")

# An archive keeps whole seconds, and hashes of data sets go by the files' times.
for path in Path("former").rglob("*.*"):
    os.utime(path, (1_000_000_000, 1_000_000_000))

"""Scenes with everything that a condition may be read from, and untrained tokenizers."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smalti.conditions import CONDITIONS
from smalti.conditions.low_resolution import shrunk
from smalti.content import DepthContent, EdgesContent, LabelsContent, RGBContent
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN

IMAGES, HEIGHT, WIDTH = 6, 20, 24
JOINTS = 17  # COCO's, which need no names
FACTOR = 4
"""Of the tokenizers, and of a low resolution."""
CONTENTS = (RGBContent(), LabelsContent(classes=4), DepthContent(), EdgesContent())


def scene_name(number: int) -> str:
    """Path of a scene below its folder, without suffix; the folder's name is its class."""
    return f"{'day' if number % 2 else 'night'}/{number}"


def _write_scene(root: Path, number: int) -> None:
    random = np.random.default_rng(number)
    pictures = {
        "images": random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        "segmentations": random.integers(0, 4, (HEIGHT, WIDTH), dtype=np.uint8),
        "depths": random.integers(0, 2**16, (HEIGHT, WIDTH)).astype(np.uint16),
    }
    for part, pixels in pictures.items():
        path = root / part / f"{scene_name(number)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    places = [(int(random.integers(WIDTH)), int(random.integers(HEIGHT)), 2) for _ in range(JOINTS)]
    pose = root / "keypoints" / f"{scene_name(number)}.json"
    pose.parent.mkdir(parents=True, exist_ok=True)
    numbers = [number for place in places for number in place]
    pose.write_text(json.dumps({"keypoints": numbers}), encoding="utf-8")


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("scenes")
    for number in range(IMAGES):
        _write_scene(root, number)
    return root


@pytest.fixture(scope="session")
def tokenizers(tmp_path_factory) -> Path:
    """A folder of each content, by its kind."""
    root = tmp_path_factory.mktemp("tokenizers")
    for content in CONTENTS:
        shape = {"channels": 8, "norm_groups": 2, "channel_multipliers": (1, 1, 1)}
        config = VQGANConfig(content=content, codebook_size=16, code_dim=4, **shape)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            VQGAN(config).save_pretrained(root / content.kind)
    return root


@pytest.fixture(scope="session")
def asked(data) -> Callable[..., object]:
    """What a user gives to get the condition that a scene has.

    A new kind that has no files beside the images stands here.
    """

    def give(kind: str, scene: int, height: int = HEIGHT, width: int = WIDTH) -> object:
        condition, name = CONDITIONS[kind], scene_name(scene)
        if not condition.is_asked:
            return None
        if kind == "class":
            return name.partition("/")[0]
        if kind == "keypoints":
            return data / "keypoints" / f"{name}.json"
        part = "images" if condition.files is None else condition.files.part
        with Image.open(data / part / f"{name}.png") as picture:
            cropped = picture.crop((0, 0, width, height))
        return shrunk(cropped, FACTOR) if kind == "low_resolution" else cropped

    return give

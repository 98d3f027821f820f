"""A tiny tokenizer, and data sets of noise: a folder of pictures and tars."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from smalti.codes.encode import EncodingJob, ViewEncoder, encoding_of, views_of
from smalti.codes.manifest import begin_folder
from smalti.codes.plan import PlannedShard, plan_shards
from smalti.conditions import Setup
from smalti.conditions.conditioning import conditioning_of
from smalti.conditions.opening import open_conditions
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.loader import BatchLoader
from smalti.data.sources import open_source
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.prior.condition_columns import columns_of

CPU = torch.device("cpu")
Job = tuple[EncodingJob, list[PlannedShard]]


def picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (10, 14, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def tokenizer() -> VQGAN:
    """K = 16, f = 2."""
    torch.manual_seed(0)
    config = VQGANConfig(channels=8, norm_groups=2, channel_multipliers=(1, 1), codebook_size=16)
    return VQGAN(config).eval()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Seven pictures in two folders."""
    for number in range(7):
        path = tmp_path / "photos" / ("cat" if number < 4 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    return tmp_path / "photos"


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    """Three, two and four pictures; the second of the last tar is broken."""
    (tmp_path / "tars").mkdir()
    number = 0
    for shard, count in enumerate((3, 2, 4)):
        with tarfile.open(tmp_path / "tars" / f"{shard}.tar", "w") as tar:
            for _ in range(count):
                content = picture(number) if number != 6 else b"no picture"
                member = tarfile.TarInfo(f"{number}.png")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
                number += 1
    return tmp_path / "tars"


@pytest.fixture
def new_job(tmp_path: Path, tokenizer: VQGAN) -> Callable[..., Job]:
    """Plans the codes of a data set in crops of 8x8."""

    def make(data: Path, crops: int = 1, flip: bool = False, **options: Any) -> Job:
        source = open_source(str(data), options.get("classes", False))
        transform = TransformConfig(size=8, resize_px="keep", flip=False)
        conditions = open_conditions(options.get("conditions", ()), tmp_path, tokenizer)
        setup = Setup(height_px=8, width_px=8, cell_px=2, low_resolution_factor=2)
        dataset = ImageDataset([source], transform, seed=5, paired=conditions.pairs(setup))
        conditioning = conditioning_of(conditions.configs(setup, dataset), conditions.tokenizers)
        shards = plan_shards(dataset, options.get("shard_images"))
        views = views_of(crops, flip)
        file_format = options.get("file_format", "safetensors")
        columns = columns_of(conditioning)
        encoding = encoding_of(tokenizer, dataset, views, file_format, shards, columns)
        loader = BatchLoader(dataset, 4, seed=5, workers=0)
        folder = tmp_path / "codes"
        begin_folder(folder, encoding)
        encoder = ViewEncoder(tokenizer, CPU, views, conditioning if columns else None)
        return EncodingJob(folder, encoding, loader, 4, encoder), shards

    return make

"""Maps that do not fit are found before training."""

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from smalti.config import InputError
from smalti.content import ContentConfig, DepthContent, LabelsContent, RGBContent
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.maps import check_maps, check_sizes_beside
from smalti.data.sources import open_source
from smalti.data.split import split_held_out


def write_scene(
    root: Path, name: str, map_size: tuple[int, int] = (12, 10), label: int = 1
) -> None:
    for part in ("images", "segmentations"):
        (root / part).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 10)).save(root / "images" / f"{name}.jpg")
    Image.new("L", map_size, label).save(root / "segmentations" / f"{name}.png")


def dataset_of(root: Path, content: ContentConfig) -> ImageDataset:
    sources = [open_source(str(root), False, content.part)]
    return ImageDataset(sources, TransformConfig(size=8), 0, content=content)


def check_beside(root: Path) -> None:
    maps, images = (open_source(str(root), False, part) for part in ("segmentations", "images"))
    check_sizes_beside(maps, images)


def test_maps_of_their_images_size_pass(tmp_path: Path) -> None:
    write_scene(tmp_path, "a")
    check_beside(tmp_path)


def test_a_map_of_another_size_is_named_with_its_image(tmp_path: Path) -> None:
    write_scene(tmp_path, "a")
    write_scene(tmp_path, "b", map_size=(6, 5))
    with pytest.raises(InputError, match=r"b\.png is 5x6, but its image .*b\.jpg is 10x12"):
        check_beside(tmp_path)


def test_an_image_that_is_turned_when_shown_fits_the_upright_map(tmp_path: Path) -> None:
    write_scene(tmp_path, "a", map_size=(10, 12))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (12, 10)).save(tmp_path / "images/a.jpg", exif=exif)
    check_beside(tmp_path)


def test_maps_without_an_image_are_counted(tmp_path: Path, caplog: Any) -> None:
    write_scene(tmp_path, "a")
    write_scene(tmp_path, "b")
    (tmp_path / "images/b.jpg").unlink()
    with caplog.at_level(logging.WARNING):
        check_beside(tmp_path)
    assert "1 of 2 maps have no image of the same name" in caplog.text


def test_a_label_that_is_no_class_is_found_before_training(tmp_path: Path) -> None:
    write_scene(tmp_path, "a")
    write_scene(tmp_path, "b", label=7)
    with pytest.raises(InputError, match=r"b\.png has label 7; allowed are 0 to 4"):
        check_maps(dataset_of(tmp_path, LabelsContent(classes=5)))


def test_photographs_are_no_depth_maps(tmp_path: Path) -> None:
    Image.new("RGB", (12, 10)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png is a picture of mode RGB"):
        check_maps(dataset_of(tmp_path, DepthContent()))


def test_a_photograph_is_held_out_with_its_map(tmp_path: Path) -> None:
    for number in range(40):
        write_scene(tmp_path, f"{number}")
    held_out = [
        split_held_out(dataset_of(tmp_path, content), 0.3).held_out
        for content in (RGBContent(), LabelsContent(classes=2))
    ]
    images, maps = ([part.scene(i) for i in range(len(part))] for part in held_out if part)
    assert images == maps


def test_label_maps_are_read_from_a_tar(shared_dir: Path) -> None:
    spec = str(shared_dir / "data/camvid-val.tar")
    content = LabelsContent(classes=12)
    source = open_source(spec, False, content.part)
    check_sizes_beside(source, open_source(spec, False))
    dataset = ImageDataset([source], TransformConfig(size=64), 0, content=content)
    check_maps(dataset)
    sample = dataset.sample(0, 0)
    stored = np.asarray(Image.open(io.BytesIO(dataset.raw(0).content)))
    assert len(dataset) == 51
    assert sample.image.shape == (64, 64)
    assert set(sample.image.unique().tolist()) <= set(np.unique(stored).tolist())

"""What `smalti inspect` says of a data set."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from smalti.config import InputError
from smalti.data import order as data_order
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.sources.folder import FolderSource
from smalti.data.summary import Spread, check_sizes, summarize


def folder_dataset(root: Path, classes: bool = False) -> ImageDataset:
    return ImageDataset([FolderSource(str(root), classes)], TransformConfig(size=8), 0)


def test_sizes_modes_and_broken_files_are_listed(tmp_path: Path, encode: Any) -> None:
    for number, (width, height) in enumerate([(10, 30), (50, 20), (40, 40)]):
        (tmp_path / f"{number}.png").write_bytes(encode(number, width, height))
    (tmp_path / "bad.png").write_bytes(b"text")
    result = summarize(folder_dataset(tmp_path))
    assert (result.images, result.headers_read) == (4, 4)
    assert result.width == Spread(10, 40, 50)
    assert result.height == Spread(20, 30, 40)
    assert result.shorter_side == Spread(10, 20, 40)
    assert result.modes == {"RGB": 3}
    assert list(result.broken) == [str(tmp_path / "bad.png")]
    assert result.class_counts is None


def test_classes_are_counted(photos: Path) -> None:
    (photos / "dog/4.png").unlink()
    assert summarize(folder_dataset(photos, classes=True)).class_counts == {"cat": 3, "dog": 2}


def test_large_data_set_is_sampled_over_its_length(
    many_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_order, "MOST_IMAGES_CHECKED", 15)
    for name in ("00.png", "39.png", "01.png"):
        (many_photos / name).write_bytes(b"")
    result = summarize(folder_dataset(many_photos))
    assert (result.images, result.headers_read) == (40, 14)
    assert set(result.broken) == {str(many_photos / "00.png"), str(many_photos / "39.png")}


def test_without_a_good_header_there_are_no_sizes(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"")
    result = summarize(folder_dataset(tmp_path))
    assert result.shorter_side is None
    assert result.modes == {}


def test_too_small_images_are_found_before_training(tmp_path: Path) -> None:
    for number, size in enumerate([(64, 64), (40, 80)]):
        Image.new("RGB", size).save(tmp_path / f"{number}.png")
    source = FolderSource(str(tmp_path), classes=False)
    check_sizes(ImageDataset([source], TransformConfig(size=48, small="enlarge"), seed=0))
    with pytest.raises(InputError, match=r"1\.png is 80x40 pixels, smaller than the crop of 48x48"):
        check_sizes(ImageDataset([source], TransformConfig(size=48), seed=0))


def test_an_image_may_be_stored_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 80)).save(tmp_path / "a.png", exif=exif)
    source = FolderSource(str(tmp_path), classes=False)
    check_sizes(ImageDataset([source], TransformConfig(size=(40, 80)), seed=0))
    for size in ((80, 40), (40, 81)):
        with pytest.raises(InputError, match=f"40x80 pixels, smaller than the crop of {size[0]}x"):
            check_sizes(ImageDataset([source], TransformConfig(size=size), seed=0))

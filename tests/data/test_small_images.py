"""Images smaller than the crop: an error, skipped and counted, or enlarged."""

import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from smalti.conditions.coordinates import picture_room
from smalti.config import InputError
from smalti.data import config as data_config
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.loader import BatchLoader
from smalti.data.sources import open_source
from smalti.data.sources.folder import FolderSource
from smalti.data.split import split_held_out
from smalti.data.summary import check_sizes, summarize


@pytest.fixture
def mixed(many_photos: Path) -> Path:
    """Forty images of 20x16 pixels, two of them smaller than a crop of 16."""
    for name, size in (("03.png", (20, 15)), ("30.png", (9, 16))):
        Image.new("RGB", size).save(many_photos / name)
    return many_photos


def dataset_of(root: Path, **options: Any) -> ImageDataset:
    transform = TransformConfig(**{"size": 16, **options})
    return ImageDataset([FolderSource(str(root), classes=False)], transform, 0)


def test_skipped_images_are_replaced_counted_and_named(mixed: Path, caplog: Any) -> None:
    dataset = dataset_of(mixed, small="skip")
    with caplog.at_level(logging.WARNING):
        assert dataset.sample(3, 0).key == str(mixed / "04.png")
    reason = "it is 15x20 pixels, smaller than the crop of 16x16"
    assert dataset.broken == {str(mixed / "03.png"): reason}
    assert f"skipped image {mixed / '03.png'}: {reason}" in caplog.text


def test_only_the_first_skipped_images_are_named(mixed: Path, caplog: Any) -> None:
    dataset = dataset_of(mixed)
    with caplog.at_level(logging.WARNING):
        dataset.report({f"image {number}": "small" for number in range(300)})
    assert len(dataset.broken) == 300
    assert caplog.text.count("skipped image image") == 100
    assert caplog.text.count("counted, not named") == 1


def test_evaluation_skips_a_small_image_without_a_substitute(mixed: Path) -> None:
    dataset = dataset_of(mixed, small="skip")
    assert dataset.load_center(3).sample is None
    batches = BatchLoader(dataset, 8, 0, workers=0).evaluation_batches()
    assert sum(len(batch.keys) for batch in batches) == 38
    assert len(dataset.broken) == 2


@pytest.mark.parametrize("small", ["error", "auto"])
def test_a_small_image_of_a_small_data_set_is_an_error(mixed: Path, small: str) -> None:
    dataset = dataset_of(mixed, small=small)
    words = r"03\.png is 15x20 pixels, smaller than the crop of 16x16; .*image\.small"
    for action in (lambda: dataset.sample(3, 0), lambda: dataset.load_center(3)):
        with pytest.raises(InputError, match=words):
            action()
    with pytest.raises(InputError, match=words):
        check_sizes(dataset)


def test_in_a_larger_data_set_they_are_skipped_by_default(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_config, "MOST_IMAGES_CHECKED", 39)
    split = split_held_out(dataset_of(mixed), 0.5)
    assert split.held_out is not None
    for part in (split.train, split.held_out):  # each of them has fewer images
        assert part.transform.small == "skip"
    monkeypatch.setattr(data_config, "MOST_IMAGES_CHECKED", 40)
    assert dataset_of(mixed).transform.small == "error"


def test_the_help_says_when_the_default_changes() -> None:
    described = TransformConfig.model_fields["small"].description
    assert described is not None
    assert f"more than {data_config.MOST_IMAGES_CHECKED:,} images" in described


def test_small_images_that_are_skipped_are_counted_before_training(
    mixed: Path, caplog: Any
) -> None:
    with caplog.at_level(logging.WARNING):
        check_sizes(dataset_of(mixed, small="skip"))
    assert "2 of 40 images that were looked at are smaller than the crop of 16x16" in caplog.text
    with pytest.raises(InputError, match="of 40 images looked at, none is as large as the crop of"):
        check_sizes(dataset_of(mixed, small="skip", size=21))
    check_sizes(dataset_of(mixed, small="enlarge", size=21))


def test_all_too_small_is_an_error(mixed: Path) -> None:
    with pytest.raises(InputError, match="all 40 images are broken or too small, as"):
        dataset_of(mixed, small="skip", size=21).sample(0, 0)


def test_the_room_of_coordinates_is_that_of_the_images_that_are_not_skipped(mixed: Path) -> None:
    assert picture_room(dataset_of(mixed, small="skip", resize_px="keep")) == (16, 20)


def test_a_summary_names_the_images_below_the_crop(mixed: Path) -> None:
    expected = {str(mixed / "03.png"): "15x20 pixels", str(mixed / "30.png"): "16x9 pixels"}
    assert summarize(dataset_of(mixed)).small == expected
    assert len(summarize(dataset_of(mixed, size=(17, 16))).small) == 40


@pytest.mark.parametrize(("former", "small"), [(True, "enlarge"), (False, "error")])
def test_the_former_spelling_is_read(former: bool, small: str) -> None:
    stored = {"size": 16, "resize_px": "crop", "crop": "random", "flip": True, "upscale": former}
    assert TransformConfig.model_validate(stored) == TransformConfig(size=16, small=small)


def test_a_former_spelling_of_no_sense_is_refused() -> None:
    with pytest.raises(ValidationError, match="upscale"):
        TransformConfig.model_validate({"upscale": "sometimes"})


def test_files_beside_the_images_are_counted_by_their_ending(photos: Path) -> None:
    for name in ("a.HEIC", "b.heic", "dog/notes.pdf", "README", ".hidden.pdf", "dog/x.tar"):
        (photos / name).write_bytes(b"something")
    dataset = dataset_of(photos)
    assert summarize(dataset).left_out == {".heic": 2, ".pdf": 1, "": 1, ".tar": 1}


def test_files_of_a_tar_that_are_not_read_are_counted_by_their_ending(
    tmp_path: Path, write_tar: Any, encode: Any
) -> None:
    names = ("a.cls", "a.json", "b.heic", "b.txt", "LICENSE")
    write_tar(tmp_path / "x.tar", {"a.png": encode()} | dict.fromkeys(names, b"1"))
    source = open_source(str(tmp_path / "x.tar"), classes=False)
    assert source.left_out == {".heic": 1, ".txt": 1, "": 1}


def test_a_folder_without_images_says_what_it_has(tmp_path: Path) -> None:
    for name in ("a.heic", "b.heic", "c"):
        (tmp_path / name).write_bytes(b"something")
    with pytest.raises(InputError, match=r"no images in .*; it has 2 \.heic, 1 without an ending"):
        FolderSource(str(tmp_path), classes=False)

"""Sources joined, broken images replaced, images held out."""

import logging
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from smalti.config import InputError
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.sources.folder import FolderSource
from smalti.data.sources.list_file import ListSource
from smalti.data.split import split_held_out

CROP = TransformConfig(size=8, resize_px="keep")


def folder_dataset(root: Path, classes: bool = False, seed: int = 0) -> ImageDataset:
    return ImageDataset([FolderSource(str(root), classes)], CROP, seed)


@pytest.fixture
def damaged(photos: Path) -> Path:
    """Of six images, the second and third cannot be decoded."""
    content = (photos / "cat/3.png").read_bytes()
    (photos / "cat/3.png").write_bytes(content[: len(content) // 2])
    (photos / "cat/5.png").write_bytes(b"")
    return photos


def test_sample_is_a_function_of_seed_epoch_and_number(photos: Path) -> None:
    first = folder_dataset(photos).sample(2, epoch=1)
    assert first.image.shape == (3, 8, 8)
    assert first.key == str(photos / "cat/5.png")
    assert torch.equal(folder_dataset(photos).sample(2, epoch=1).image, first.image)
    for other in (
        folder_dataset(photos).sample(2, epoch=2),
        folder_dataset(photos, seed=1).sample(2, epoch=1),
    ):
        assert not torch.equal(other.image, first.image)


def test_crop_of_one_picture_differs_between_numbers_and_not_between_selections(
    tmp_path: Path, encode: Any
) -> None:
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(encode(0))
    dataset = folder_dataset(tmp_path)
    images = [dataset.sample(index, 0).image for index in range(4)]
    assert not all(torch.equal(image, images[0]) for image in images)
    assert torch.equal(dataset.subset([1, 3]).sample(1, 0).image, images[3])


def test_sources_follow_each_other(photos: Path) -> None:
    halves = [FolderSource(str(photos / name), classes=False) for name in ("dog", "cat")]
    dataset = ImageDataset(halves, CROP, seed=0)
    assert [dataset.name(index) for index in range(6)] == [
        *("0.png", "2.png", "4.png"),
        *("1.png", "3.png", "5.png"),
    ]
    assert dataset.sample(4, 0).key == str(photos / "cat/3.png")


def test_classes_of_the_same_name_are_one_class(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text(
        "photos/cat/1.png\tcat\nphotos/dog/0.png\tant\n", encoding="utf-8"
    )
    sources = [
        FolderSource(str(photos), classes=True),
        ListSource(str(tmp_path / "more.txt"), classes=True),
    ]
    dataset = ImageDataset(sources, CROP, seed=0)
    assert dataset.class_names == ("cat", "dog", "ant")
    assert [dataset.label(index) for index in range(8)] == [0, 0, 0, 1, 1, 1, 0, 2]
    assert dataset.sample(7, 0).label == 2


def test_source_without_classes_beside_one_with_is_an_error(photos: Path) -> None:
    sources = [FolderSource(str(photos), classes) for classes in (True, False)]
    with pytest.raises(InputError, match="photos has no classes"):
        ImageDataset(sources, CROP, seed=0)


def test_no_source_is_an_error() -> None:
    with pytest.raises(InputError, match="no data given"):
        ImageDataset([], CROP, seed=0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "1 weights for 2 data sets"),
        ([1.0, 1.0, 1.0], "3 weights for 2 data sets"),
        ([1.0, -0.5], r"weights are 1\.0, -0\.5; allowed"),
        ([0.0, 0.0], "not all 0"),
        ([1.0, float("nan")], "allowed are 0 or more"),
        ([1.0, float("inf")], "allowed are 0 or more"),
    ],
)
def test_weights_that_do_not_fit_are_an_error(
    photos: Path, weights: list[float], message: str
) -> None:
    sources = [FolderSource(str(photos), classes=False)] * 2
    with pytest.raises(InputError, match=message):
        ImageDataset(sources, CROP, 0, weights)


def test_weights_reach_the_order_also_of_a_subset(photos: Path) -> None:
    halves = [FolderSource(str(photos / name), classes=False) for name in ("dog", "cat")]
    dataset = ImageDataset(halves, CROP, 0, weights=[0, 1])
    assert set(dataset.order(0, 0).tolist()) == {3, 4, 5}
    subset = dataset.subset([0, 1, 4, 5])
    assert set(subset.order(0, 0).tolist()) == {2, 3}


def test_weighted_order_is_new_each_epoch(photos: Path) -> None:
    dataset = ImageDataset([FolderSource(str(photos), classes=False)], CROP, 0, weights=[1])
    orders = [dataset.order(0, epoch).tolist() for epoch in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_broken_image_is_replaced_by_the_next_good_one(damaged: Path) -> None:
    dataset = folder_dataset(damaged, classes=True)
    sample = dataset.sample(1, epoch=0)
    assert sample.key == str(damaged / "dog/0.png")
    assert sample.label == 1


def test_broken_image_is_counted_and_logged_once(
    damaged: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = folder_dataset(damaged)
    with caplog.at_level(logging.WARNING):
        for epoch in range(3):
            dataset.sample(2, epoch)
    assert list(dataset.broken) == [str(damaged / "cat/5.png")]
    assert caplog.text.count("cat/5.png") == 1


def test_replacement_wraps_around_at_the_end(photos: Path) -> None:
    (photos / "dog/4.png").write_bytes(b"text")
    assert folder_dataset(photos).sample(5, 0).key == str(photos / "cat/1.png")


def test_all_broken_is_an_error(photos: Path) -> None:
    for path in photos.rglob("*.png"):
        path.write_bytes(b"text")
    with pytest.raises(InputError, match=r"all 6 images are broken, as .*3\.png: it is"):
        folder_dataset(photos).sample(1, 0)


def test_evaluation_skips_a_broken_image_without_a_substitute(damaged: Path) -> None:
    loaded = folder_dataset(damaged).load_center(2)
    assert loaded.sample is None
    assert loaded.broken == {str(damaged / "cat/5.png"): "it is empty"}


def test_image_smaller_than_the_crop_is_an_error_unless_enlarged(photos: Path) -> None:
    source = FolderSource(str(photos), classes=False)
    with pytest.raises(InputError, match=r"cat/1\.png is 16x20 pixels, smaller than the crop"):
        ImageDataset([source], TransformConfig(size=17), 0).sample(0, 0)
    enlarged = ImageDataset([source], TransformConfig(size=17, small="enlarge"), 0)
    assert enlarged.sample(0, 0).image.shape == (3, 17, 17)


def test_copy_for_another_process_gives_the_same_samples(photos: Path) -> None:
    dataset = folder_dataset(photos).subset([1, 4])
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy.sample(1, 5).image, dataset.sample(1, 5).image)


def test_fingerprint_follows_files_and_selection(photos: Path, encode: Any) -> None:
    dataset = folder_dataset(photos)
    fingerprints = {dataset.fingerprint(), folder_dataset(photos).fingerprint()}
    assert len(fingerprints) == 1
    fingerprints.add(dataset.subset([0, 1]).fingerprint())
    (photos / "cat/9.png").write_bytes(encode(9))
    fingerprints.add(folder_dataset(photos).fingerprint())
    assert len(fingerprints) == 3


def names_of(dataset: ImageDataset | None) -> set[str]:
    assert dataset is not None
    return {dataset.name(index) for index in range(len(dataset))}


def test_split_has_every_image_on_one_side(many_photos: Path) -> None:
    dataset = folder_dataset(many_photos)
    split = split_held_out(dataset, 0.25)
    train, held_out = names_of(split.train), names_of(split.held_out)
    assert train | held_out == names_of(dataset)
    assert not train & held_out
    assert 4 <= len(held_out) <= 16  # 10 expected, binomial


def test_split_does_not_move_images_when_others_are_added(many_photos: Path, encode: Any) -> None:
    before = names_of(split_held_out(folder_dataset(many_photos), 0.25).held_out)
    for number in range(100, 140):
        (many_photos / f"{number}.png").write_bytes(encode(number))
    after = names_of(split_held_out(folder_dataset(many_photos), 0.25).held_out)
    assert {name for name in after if len(name) == len("00.png")} == before


def test_split_does_not_depend_on_where_the_folder_lies(many_photos: Path) -> None:
    before = names_of(split_held_out(folder_dataset(many_photos), 0.25).held_out)
    moved = shutil.move(many_photos, many_photos.with_name("moved"))
    assert names_of(split_held_out(folder_dataset(Path(moved)), 0.25).held_out) == before


@pytest.mark.parametrize("fraction", [1e-9, 1 - 1e-9])
def test_split_leaves_an_image_on_each_side(many_photos: Path, fraction: float) -> None:
    split = split_held_out(folder_dataset(many_photos), fraction)
    assert split.held_out is not None
    assert sorted((len(split.train), len(split.held_out))) == [1, 39]


@pytest.mark.parametrize("count", [19, 20])
def test_small_data_sets_are_not_split(many_photos: Path, count: int) -> None:
    dataset = folder_dataset(many_photos).subset(range(count))
    split = split_held_out(dataset, 0.5)
    assert (split.held_out is None) == (count < 20)
    if split.held_out is None:
        assert len(split.train) == count


def test_replacement_never_comes_from_the_other_side(many_photos: Path) -> None:
    (many_photos / "00.png").write_bytes(b"text")
    train = folder_dataset(many_photos).subset(range(0, 40, 2))
    assert train.sample(0, 0).key == str(many_photos / "02.png")


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_held_out_fraction_out_of_range_is_an_error(photos: Path, fraction: float) -> None:
    with pytest.raises(InputError, match=r"allowed are 0 to below 1"):
        split_held_out(folder_dataset(photos), fraction)

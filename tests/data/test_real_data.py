"""The data sets that lie beside a checkout, read as a user would."""

from pathlib import Path

import pytest

from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.loader import BatchLoader
from smalti.data.sources import open_source
from smalti.data.split import split_held_out


def test_cifar_parquet_has_its_classes_balanced(shared_dir: Path) -> None:
    source = open_source(str(shared_dir / "data/cifar10-test.parquet"), classes=True)
    labels = [source.label(index) for index in range(len(source))]
    assert len(source) == 3000
    assert source.class_names == tuple(map(str, range(10)))
    assert [labels.count(number) for number in range(10)] == [300] * 10


def test_imagenet_tar_names_its_classes(shared_dir: Path) -> None:
    source = open_source(str(shared_dir / "data/imagenet500.tar"), classes=True)
    assert source.class_names is not None
    assert len(source) == len(source.class_names) == 500
    assert source.class_names[0] == "tench"
    assert source.label(0) == 0


@pytest.mark.parametrize(("file", "size"), [("cifar10-test.parquet", 32), ("imagenet500.tar", 64)])
def test_batches_of_real_data_are_the_same_with_workers(
    shared_dir: Path, file: str, size: int
) -> None:
    source = open_source(str(shared_dir / "data" / file), classes=True)
    dataset = split_held_out(
        ImageDataset([source], TransformConfig(size=size), 0), fraction=0.05
    ).train
    batches = [BatchLoader(dataset, 8, 0, workers).batches(3) for workers in (0, 2)]
    for _ in range(4):
        first, second = map(next, batches)
        assert first.keys == second.keys
        assert first.images.shape == (8, 3, size, size)
        assert first.images.equal(second.images)
    assert dataset.broken == {}


def test_example_inputs_of_the_paper_decode(shared_dir: Path) -> None:
    source = open_source(str(shared_dir / "data/task-examples.tar"), classes=False)
    dataset = ImageDataset([source], TransformConfig(size=128), 0).subset(range(0, len(source), 7))
    read = sum(len(batch.keys) for batch in BatchLoader(dataset, 16, 0, 0).evaluation_batches())
    assert read == len(dataset)

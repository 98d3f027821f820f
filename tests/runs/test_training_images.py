"""Which images a model was trained on, written down and found again."""

from pathlib import Path

import numpy as np
import pytest
import torch

from smalti.config import InputError
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.sources import open_source
from smalti.data.split import OwnNames, SceneNames, split_held_out
from smalti.model_folder import write_tensors
from smalti.runs.training_images import (
    FILE,
    TrainingImages,
    find_training_images,
    rule_of_run,
    write_training_images,
)


def dataset_of(root: Path, *names: str) -> ImageDataset:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return ImageDataset([open_source(str(root), classes=False)], TransformConfig(), seed=0)


def many(root: Path, count: int = 60) -> ImageDataset:
    return dataset_of(root, *(f"{n}.png" for n in range(count)))


def model(folder: Path) -> Path:
    """What a model's folder is known by."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return folder


@pytest.mark.parametrize("rule", [OwnNames(1), OwnNames(2), SceneNames()])
def test_images_come_back_from_the_file(tmp_path, rule):
    dataset = many(tmp_path / "photos")
    split = split_held_out(dataset, 0.3, rule)
    write_training_images(tmp_path, split)
    found = TrainingImages.read(tmp_path)
    assert found is not None
    assert (found.rule, found.is_whole) == (rule, True)
    assert found.among(split.train).all()
    assert not found.among(split.held_out).any()
    assert rule_of_run(tmp_path) == rule


def test_images_are_known_by_name_wherever_they_lie(tmp_path):
    split = split_held_out(many(tmp_path / "photos"), 0.3)
    images = TrainingImages.of(split)
    elsewhere = dataset_of(tmp_path / "a" / "b", *(f"images/{n}.jpg" for n in range(50, 70)))
    trained = set(split.train.own_names())
    expected = [name in trained for name in elsewhere.own_names()]
    assert images.among(elsewhere).tolist() == expected
    assert 0 < sum(expected) <= 10


def test_later_images_are_added_to_those_of_before(tmp_path):
    """Also to those that go by another number of components."""
    write_training_images(tmp_path, split_held_out(many(tmp_path / "a", 30), 0))
    frames = dataset_of(tmp_path / "b", *(f"shot{n}/frame.png" for n in range(30)))
    write_training_images(tmp_path, split_held_out(frames, 0))
    found = TrainingImages.read(tmp_path)
    assert found is not None
    assert set(found.names) == {1, 2}
    more = many(tmp_path / "a", 40)
    assert int(found.among(more).sum()) == 30
    assert found.among(frames).all()


def test_images_of_the_model_to_begin_with_count_too(tmp_path):
    first, second = many(tmp_path / "a", 30), dataset_of(tmp_path / "b", "x.png", "y.png")
    write_training_images(model(tmp_path / "init"), split_held_out(first, 0))
    write_training_images(tmp_path, split_held_out(second, 0), init=str(tmp_path / "init"))
    found = TrainingImages.read(tmp_path)
    assert found is not None
    assert found.is_whole
    assert found.among(first).all()
    assert found.among(second).all()


def test_images_of_a_run_that_began_with_an_unknown_model_are_not_all_known(tmp_path):
    split = split_held_out(many(tmp_path / "a", 30), 0)
    init = str(model(tmp_path / "imported"))
    for _ in range(2):  # also after it was resumed
        write_training_images(tmp_path, split, init)
        found = TrainingImages.read(tmp_path)
        assert found is not None
        assert not found.is_whole


def test_run_that_has_yet_to_begin_has_no_rule(tmp_path):
    assert rule_of_run(tmp_path) is None
    (tmp_path / "config.yaml").write_text("", encoding="utf-8")
    assert rule_of_run(tmp_path) is None


@pytest.mark.parametrize("checkpoint", ["step_00000002", "best"])
def test_run_that_trained_without_writing_a_rule_has_the_former_one(tmp_path, checkpoint):
    (tmp_path / "checkpoints" / checkpoint).mkdir(parents=True)
    assert rule_of_run(tmp_path) == SceneNames()


def test_file_is_found_from_a_run_its_model_and_a_model_folder(tmp_path):
    split = split_held_out(many(tmp_path / "photos"), 0.3)
    best = model(tmp_path / "run" / "checkpoints" / "best")
    assert find_training_images(tmp_path / "run") is None
    write_training_images(tmp_path / "run", split)
    expected = np.unique(TrainingImages.of(split).names[1])
    for name in (tmp_path / "run", best):
        found = find_training_images(name)
        assert found is not None
        assert np.array_equal(found.names[1], expected)
    write_training_images(model(tmp_path / "pipeline" / "tokenizer"), split)
    assert find_training_images(model(tmp_path / "pipeline"), "tokenizer") is not None


def test_damaged_file_is_one_line(tmp_path):
    (tmp_path / FILE).write_bytes(b"text")
    with pytest.raises(InputError, match=f"{FILE} is damaged or cut short"):
        rule_of_run(tmp_path)
    write_tensors(tmp_path / FILE, {"weight": torch.zeros(1)})
    with pytest.raises(InputError, match=f"{FILE} is not a file of training images"):
        rule_of_run(tmp_path)

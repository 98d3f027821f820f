import contextlib
from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError

from smalti.conditions.class_label import ClassLabel, ClassLabelConfig
from smalti.conditions.conditioning import draw_present
from smalti.conditions.coordinate_map import (
    CoordinateMap,
    CoordinateMapConfig,
    whole_coordinate_map,
)
from smalti.conditions.coordinates import Coordinates, CoordinatesConfig
from smalti.conditions.keypoints import Keypoints, KeypointsConfig
from smalti.conditions.maps import Segmentation, SegmentationConfig
from smalti.conditions.none import Unconditional, UnconditionalConfig
from smalti.config import InputError
from smalti.content import LabelsContent
from smalti.content_images import label_colours
from smalti.types import Window

MAPS = SegmentationConfig(
    content=LabelsContent(classes=4), codebook_size=9, grid_height=3, grid_width=5
)
PLACES = CoordinatesConfig(rows=4, columns=7)
POSES = KeypointsConfig(joints=("nose", "left_eye"), height_px=12, width_px=20)
CANVAS = (6, 11)
"""Rows and columns of a canvas, of which a window has 3 x 5."""


@pytest.fixture
def animals() -> ClassLabel:
    return ClassLabel(ClassLabelConfig(class_names=("cat", "dog", "7")))


def test_map_of_a_window_is_that_part_of_the_canvas(generator):
    condition = Segmentation(MAPS)
    codes = torch.randint(9, (2, *CANVAS), generator=generator)
    found = condition.at(codes, Window(2, 6, 3, 5, *CANVAS))
    assert torch.equal(found, codes[:, 2:5, 6:11])


@pytest.mark.parametrize(("rows", "columns"), [(6, 10), (2, 3)])
def test_map_may_be_finer_or_coarser_than_the_image(rows, columns, generator):
    """A window of 4 x 6 cells moves over a canvas of 8 x 12 cells."""
    config = MAPS.model_copy(update={"grid_height": rows, "grid_width": columns})
    codes = torch.randint(9, (1, 2 * rows, 2 * columns), generator=generator)
    condition = Segmentation(config)
    assert torch.equal(condition.at(codes, Window(0, 0, 4, 6, 8, 12)), codes[:, :rows, :columns])
    last = condition.at(codes, Window(4, 6, 4, 6, 8, 12))
    assert torch.equal(last, codes[:, rows:, columns:])


def test_coordinates_tell_every_cell_of_the_training_size_apart():
    condition = Coordinates(PLACES)
    codes = torch.zeros(1, 2, dtype=torch.int64)
    seen = {
        tuple(condition.tokens(condition.at(codes, Window(top, left, 3, 5, 6, 11)))[0].tolist())
        for top in range(4)
        for left in range(7)
    }
    assert seen == {(row, 4 + column) for row in range(4) for column in range(7)}


def test_coordinate_map_has_the_released_numbers():
    """1,024 times the mean over each cell of 16 pixels of the pixels' numbers, rounded."""
    config = CoordinateMapConfig(levels=1024, cell_px=16, grid_height=16, grid_width=16)
    codes = CoordinateMap(config).encode(whole_coordinate_map(256, 256)[None])
    assert codes.shape == (1, 16, 16)
    for row, column in ((0, 0), (0, 15), (7, 3), (15, 15)):
        mean = ((16 * row + 7.5) * 256 + 16 * column + 7.5) / 256**2
        assert codes[0, row, column] == round(1024 * mean)


def test_coordinate_map_stays_in_its_vocabulary_in_the_tallest_pictures():
    config = CoordinateMapConfig(levels=4, cell_px=1, grid_height=1, grid_width=1)
    codes = CoordinateMap(config).encode(whole_coordinate_map(100, 3)[None])
    assert codes.unique().tolist() == [0, 1, 2, 3]


def test_coordinates_of_a_crop_equal_those_of_the_window_at_its_place():
    condition = Coordinates(PLACES)
    codes = torch.zeros(1, 2, dtype=torch.int64)
    window = condition.at(codes, Window(2, 3, 3, 5, 6, 11))
    assert torch.equal(condition.encode(torch.tensor([[2 / 3, 3 / 6]])), window)


def test_crop_that_fills_the_window_keeps_its_coordinates():
    """It has no room to move, but lies somewhere in its picture; wider ones move along one side."""
    condition = Coordinates(PLACES)
    codes = torch.tensor([[2, 5], [1, 0]])
    assert torch.equal(condition.at(codes, Window(0, 0, 3, 5, 3, 5)), codes)
    assert condition.at(codes, Window(0, 6, 3, 5, 3, 11)).tolist() == [[2, 6], [1, 6]]


def test_joint_keeps_its_place_under_a_moving_window():
    """The window has 12 x 20 pixels and 3 x 5 cells; 32 positions a side."""
    condition = Keypoints(POSES)
    joints = torch.tensor([[[9.0, 7.0, 1.0], [30.0, 7.0, 1.0]]])
    first = condition.tokens(condition.at(joints, Window(0, 0, 3, 5, 6, 11)))
    column, row = int(9 / 20 * 32), int(7 / 12 * 32)
    assert first.tolist() == [[1 + 32 * row + column, 0]]
    moved = condition.tokens(condition.at(joints, Window(1, 5, 3, 5, 6, 11)))
    assert moved.tolist() == [[0, 1 + 32 * int(3 / 12 * 32) + int(10 / 20 * 32)]]


def test_a_side_has_the_positions_asked_for():
    """Four a side: pixel 9 of 20 lies in the second column, pixel 7 of 12 in the third row."""
    config = POSES.model_copy(update={"positions": 4})
    condition = Keypoints(config)
    joints = torch.tensor([[[9.0, 7.0, 1.0], [19.0, 11.0, 1.0]]])
    assert condition.tokens(joints).tolist() == [[1 + 4 * 2 + 1, 16]]
    assert condition.null_tokens(1).tolist() == [[17, 17]]
    assert condition.vocab_size == 18


def test_joint_that_is_not_seen_is_absent():
    condition = Keypoints(POSES)
    assert condition.tokens(torch.tensor([[[9.0, 7.0, 0.0], [9.0, 7.0, 1.0]]]))[0, 0] == 0


def test_class_token_is_the_label(animals):
    assert animals.tokens(torch.tensor([2, 0])).tolist() == [[2], [0]]


def test_null_token_is_no_class(animals):
    assert animals.null_tokens(2).tolist() == [[3], [3]]


@pytest.mark.parametrize(
    ("asked", "number"), [("dog", 1), (1, 1), ("1", 1), ("7", 2), ("cat", 0), (0, 0)]
)
def test_class_is_found_by_name_then_by_number(animals, asked, number):
    assert animals.class_number(asked) == number


def test_class_that_does_not_exist_names_the_nearest(animals):
    with pytest.raises(InputError, match="unknown class 'dogs'; did you mean 'dog'"):
        animals.class_number("dogs")


@pytest.mark.parametrize("number", [3, -1, "12"])
def test_class_number_outside_the_range_is_refused(animals, number):
    with pytest.raises(InputError, match=f"class {number} does not exist.*0 to 2"):
        animals.class_number(number)


@pytest.fixture
def numbered() -> ClassLabel:
    return ClassLabel(ClassLabelConfig(class_names=("1", "2", "3")))


@pytest.mark.parametrize(("asked", "number"), [("1", 0), (1, 0), ("2", 1), ("3", 2), (3, 2)])
def test_name_wins_over_a_number(numbered, asked, number):
    assert numbered.class_number(asked) == number


@pytest.mark.parametrize("asked", ["0", 0, "4", 4, "01", "one", -1, True])
def test_number_that_is_no_name_is_refused_where_names_are_numbers(numbered, asked):
    with pytest.raises(InputError, match=f"unknown class '{asked}'.* Known: 1, 2, 3"):
        numbered.class_number(asked)


def test_no_two_answers_give_one_class():
    """Whatever two things are asked for: the same class only where one is its name."""
    for names in (("1", "2", "3"), ("cat", "0", "dog"), ("2", "cat", "0"), ("0", "1", "2")):
        condition = ClassLabel(ClassLabelConfig(class_names=names))
        found = {}
        for asked in map(str, range(4)):
            with contextlib.suppress(InputError):
                found[asked] = condition.class_number(asked)
        assert len(set(found.values())) == len(found)
        for asked, number in found.items():
            assert names[number] == asked or not names[number].isdecimal()


def test_number_of_a_class_that_is_called_another_one_is_refused():
    mixed = ClassLabel(ClassLabelConfig(class_names=("5", "cat")))
    assert mixed.class_number("1") == 1
    with pytest.raises(InputError, match="class 0 is called '5', which is another number"):
        mixed.class_number("0")


def test_class_is_found_whatever_way_its_accents_are_written():
    composed, apart = "caf\u00e9", "cafe\u0301"
    for name in (composed, apart):
        condition = ClassLabel(ClassLabelConfig(class_names=("tea", name)))
        assert condition.class_number(composed) == condition.class_number(apart) == 1
    both = ClassLabel(ClassLabelConfig(class_names=(composed, apart)))
    assert [both.class_number(name) for name in (composed, apart)] == [0, 1]


@pytest.mark.parametrize(
    ("condition", "labels"),
    [("dog", [1, 1, 1, 1]), (["7", 0], [2, 0, 2, 0]), (None, [0, 1, 2, 0])],
)
def test_images_take_the_classes_asked_for_in_turn(animals, condition, labels):
    assert animals.values(condition, 4).tolist() == labels


def test_empty_list_of_classes_is_refused(animals):
    with pytest.raises(InputError, match="empty"):
        animals.values([], 4)


def test_two_classes_of_one_name_are_refused():
    with pytest.raises(ValidationError, match="two classes are called 'cat'"):
        ClassLabelConfig(class_names=("cat", "dog", "cat"))


def test_start_token_of_an_imported_prior_is_kept():
    condition = Unconditional(UnconditionalConfig(token=32))
    assert condition.tokens(torch.zeros(2, 0)).tolist() == [[32], [32]]
    assert condition.vocab_size == 33


def test_only_condition_is_dropped_at_the_rate_asked_for(generator):
    kept = draw_present(4000, 1, 0.25, generator)
    assert kept.shape == (4000, 1)
    assert 0.7 < kept.float().mean().item() < 0.8


def test_of_several_conditions_all_or_some_are_dropped(generator):
    kept = draw_present(8000, 2, 0.25, generator).float()
    assert kept.mean(0).sub(0.75**2).abs().max() < 0.03
    none = (kept.sum(1) == 0).float().mean().item()
    assert none == pytest.approx(0.25 + 0.75 * 0.25**2, abs=0.03)


@pytest.mark.parametrize("drop", [0, 1])
def test_drop_of_none_and_of_all_is_exact(drop, generator):
    assert (draw_present(50, 3, drop, generator) == (drop == 0)).all()


def test_drop_depends_on_its_generator_only():
    def kept(seed: int) -> torch.Tensor:
        return draw_present(64, 2, 0.5, torch.Generator().manual_seed(seed))

    assert torch.equal(kept(1), kept(1))
    assert not torch.equal(kept(1), kept(2))


def test_pose_shows_the_joints_that_are_seen():
    config = KeypointsConfig(joints=("a", "b", "c", "d"), height_px=32, width_px=48)
    joints = torch.tensor([[8.0, 4.0, 1.0], [20.0, 30.0, 0.0], [40.0, 12.0, 1.0], [90.0, 5.0, 1.0]])
    (picture,) = Keypoints(config).pictures(joints[None])
    colours = [tuple(colour) for colour in label_colours(4).tolist()]
    assert picture.size == (48, 32)
    assert picture.getpixel((8, 4)) == colours[0]
    assert picture.getpixel((40, 12)) == colours[2]
    shown = {colour for _, colour in picture.getcolors()}
    assert shown == {(0, 0, 0), colours[0], colours[2]}  # one is not seen, one lies outside


@pytest.mark.parametrize(
    ("known", "class_names", "message"),
    [
        (("0", "1", "2"), ("0", "1", "2"), None),
        (("0", "1", "2"), ("cat", "dog", "2"), None),
        (("cat", "dog"), ("cat", "dog"), None),
        (("0", "1", "2"), ("1", "2", "3"), "they must be the same"),
        (("0", "1", "2"), ("cat", "dog", "7"), "they must be the same"),
        (("0", "1", "2"), ("cat", "dog"), "has 2 classes .* begin with has 3"),
        (("cat", "dog"), ("dog", "eel"), "they must be the same"),
        (("0", "1", "2"), None, "knows 3 classes, but the data has none"),
    ],
)
def test_classes_that_had_numbers_get_names_but_no_other_numbers(known, class_names, message):
    condition = ClassLabel(ClassLabelConfig(class_names=known))
    data = SimpleNamespace(class_names=class_names)
    if message is None:
        assert condition.config_for(data) == ClassLabelConfig(class_names=class_names)
    else:
        with pytest.raises(InputError, match=message):
            condition.config_for(data)

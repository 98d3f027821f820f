"""The numbers of a pose file, and the choice of a person."""

import pytest
import torch

from smalti.annotate.keypoints import Person, _joints, _largest, _plain_name
from smalti.data.decode import PixelSize


def test_a_joint_outside_of_the_photograph_or_of_a_low_score_is_not_seen():
    places = torch.tensor([[3.0, 4.0], [9.5, 4.0], [-1.0, 4.0], [5.0, 5.0]])
    scores = torch.tensor([0.9, 0.9, 0.9, 0.2])
    assert _joints(places, scores, size=(10, 8)) == [3.0, 4.0, 2.0, *[0.0] * 9]


def test_the_person_of_the_largest_area_is_taken():
    boxes = torch.tensor([[0.0, 0.0, 4.0, 2.0], [1.0, 2.0, 4.0, 5.0]])  # areas 8 and 9
    assert _largest(boxes) == [1.0, 2.0, 3.0, 3.0]
    assert _largest(torch.zeros(0, 4)) is None


def test_a_person_moves_with_the_picture_that_is_fitted():
    # Scaled by 2 to 40x16 pixels, of which 12 are cut off on the left.
    person = Person([7.0, 1.0, 2.0, 3.0], [7.0, 1.0, 2.0, 0.0, 0.0, 0.0])
    fitted = person.fitted(PixelSize(20, 8), PixelSize(16, 16))
    assert fitted.box == [2.0, 2.0, 4.0, 6.0]
    assert fitted.joints == [2.5, 2.5, 2.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("name", "plain"),
    [("Nose", "nose"), ("L_Eye", "left_eye"), ("R_Ankle", "right_ankle"), ("Left Hip", "left_hip")],
)
def test_names_of_joints_are_those_of_coco(name, plain):
    assert _plain_name(name) == plain

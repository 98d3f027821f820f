"""Left and right in the names of joints, in the spellings of the data sets in use."""

import numpy as np
import pytest

from smalti.conditions.joint_sides import joint_sides
from smalti.conditions.pose_file import COCO_JOINTS


def pairs(*names: str) -> set[tuple[str, str]]:
    found = joint_sides(names).partners
    return {(names[one], names[two]) for one, two in enumerate(found) if one < two}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("left_shoulder", "right_shoulder"),
        ("left shoulder", "right shoulder"),
        ("Left_Eye", "Right_Eye"),
        ("LEFT_EYE", "RIGHT_EYE"),
        ("leftHip", "rightHip"),
        ("LeftUpLeg", "RightUpLeg"),
        ("leftshoulder", "rightshoulder"),
        ("LShoulder", "RShoulder"),
        ("LBigToe", "RBigToe"),
        ("lShldr", "rShldr"),
        ("Lsho", "Rsho"),
        ("l_hip", "r_hip"),
        ("L_F_Paw", "R_F_Paw"),
        ("lank", "rank"),
        ("lhipjoint", "rhipjoint"),
        ("shoulder_l", "shoulder_r"),
        ("shoulder.L", "shoulder.R"),
        ("hand.L.001", "hand.R.001"),
        ("shoulder_left", "shoulder_right"),
        ("mouth (left)", "mouth (right)"),
        ("left eye (inner)", "right eye (inner)"),
        ("mixamorig:LeftHandThumb1", "mixamorig:RightHandThumb1"),
        ("Bip01 L Thigh", "Bip01 R Thigh"),
        ("FrontLeftPaw", "FrontRightPaw"),
        ("LF_paw", "RF_paw"),
        ("fl_paw", "fr_paw"),
        ("thigh_twist_01_l", "thigh_twist_01_r"),
        ("L_Eye", "right_eye"),
        ("linkes Auge L", "linkes Auge R"),
    ],
)
def test_left_and_right_are_exchanged_in_every_spelling(left: str, right: str) -> None:
    assert pairs("nose", left, right, "tail") == {(left, right)}
    assert pairs(right, "nose", left) == {(right, left)}


@pytest.mark.parametrize(
    ("names", "middle"),
    [
        (COCO_JOINTS, {"nose"}),
        # MPII, as its authors and others write it
        (
            "rank rkne rhip lhip lkne lank pelv thor neck head rwri relb rsho lsho lelb lwri",
            {"pelv", "thor", "neck", "head"},
        ),
        # OpenPose BODY_25
        (
            "Nose Neck RShoulder RElbow RWrist LShoulder LElbow LWrist MidHip RHip RKnee RAnkle "
            "LHip LKnee LAnkle REye LEye REar LEar LBigToe LSmallToe LHeel RBigToe RSmallToe RHeel",
            {"Nose", "Neck", "MidHip"},
        ),
        # CMU Panoptic, then CMU's motion capture
        (
            "Neck Nose BodyCenter lShoulder lElbow lWrist lHip lKnee lAnkle rShoulder rElbow "
            "rWrist rHip rKnee rAnkle lEye lEar rEye rEar",
            {"Neck", "Nose", "BodyCenter"},
        ),
        (
            "root lowerback upperback thorax lowerneck upperneck head lclavicle lhumerus lradius "
            "lwrist lhand lfingers lthumb rclavicle rhumerus rradius rwrist rhand rfingers rthumb "
            "lfemur ltibia lfoot ltoes rfemur rtibia rfoot rtoes",
            {"root", "lowerback", "upperback", "thorax", "lowerneck", "upperneck", "head"},
        ),
        # Four legs: front and rear, left and right
        ("nose FL_paw FR_paw RL_paw RR_paw tail", {"nose", "tail"}),
        ("LF_paw RF_paw LR_paw RR_paw tail", {"tail"}),
        ("L1 L2 L3 C7 pelvis_L pelvis_R", {"L1", "L2", "L3", "C7"}),
    ],
)
def test_all_joints_of_a_set_find_their_side(
    names: str | tuple[str, ...], middle: set[str]
) -> None:
    listed = tuple(names.split()) if isinstance(names, str) else names
    sides = joint_sides(listed)
    own = {name for number, name in enumerate(listed) if sides.partners[number] == number}
    assert own == middle
    assert sides.one_sided == ()
    assert [sides.partners[other] for other in sides.partners] == list(range(len(listed)))


def test_what_has_no_partner_keeps_its_name() -> None:
    assert pairs("nose", "tail", "lowerback", "bright_spot", "collar") == set()
    assert joint_sides(("nose", "tail", "lip")).partners == (0, 1, 2)


def test_names_that_read_alike_are_no_pair() -> None:
    assert pairs("left_eye", "Left Eye", "right_eye") == set()


def test_a_joint_of_one_side_is_absent_in_the_mirror() -> None:
    sides = joint_sides(("left_eye", "right_eye", "left_paw", "nose"))
    joints = np.array([[1.0, 1, 1], [2, 2, 1], [3, 3, 1], [4, 4, 1]])
    assert sides.mirrored(joints).tolist() == [[2, 2, 1], [1, 1, 1], [0, 0, 0], [4, 4, 1]]


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (
            ("nose", "LEye", "REye"),
            "mirrored images exchange LEye/REye; nose has no partner and no side",
        ),
        (
            ("1", "2"),
            "1, 2 have no partner and no side; if there is a left and a right, set --image.flip "
            "false",
        ),
        (
            ("left_paw", "LeftEar"),
            "the other side of left_paw, LeftEar is missing, so mirrored images count as without; "
            "--image.flip false keeps all",
        ),
    ],
)
def test_what_becomes_of_the_joints_is_said(names: tuple[str, ...], line: str) -> None:
    assert str(joint_sides(names)) == line


def test_long_lists_are_shortened() -> None:
    line = str(joint_sides(COCO_JOINTS))
    assert line.startswith("mirrored images exchange left_eye/right_eye, ")
    assert "left_shoulder/right_shoulder, ... (8 in all); nose has" in line

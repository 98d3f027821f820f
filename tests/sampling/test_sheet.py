"""Pictures side by side, and poses as pictures."""

import torch

from smalti.content import label_colours
from smalti.sampling.sheet import pose_picture


def test_pose_shows_the_joints_that_are_seen():
    joints = torch.tensor([[8.0, 4.0, 1.0], [20.0, 30.0, 0.0], [40.0, 12.0, 1.0], [90.0, 5.0, 1.0]])
    picture = pose_picture(joints, height=32, width=48)
    colours = [tuple(colour) for colour in label_colours(4).tolist()]
    assert picture.size == (48, 32)
    assert picture.getpixel((8, 4)) == colours[0]
    assert picture.getpixel((40, 12)) == colours[2]
    shown = {colour for _, colour in picture.getcolors()}
    assert shown == {(0, 0, 0), colours[0], colours[2]}  # one is not seen, one lies outside

"""Condition on the pose of a person: where each joint is.

H, W: size of the crop in pixels.
Reference: arXiv:2012.09841, Sec. 4.2 (iii): pose-guided person generation on DeepFashion.
"""

import posixpath
from collections.abc import Iterable, Sequence
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydantic import Field
from torch import Tensor

from smalti.conditions.asked import Items, read_files
from smalti.conditions.base import CONDITIONS, Condition, Setup
from smalti.conditions.joint_sides import joint_sides
from smalti.conditions.pose_file import COCO_JOINTS, Pose, read_pose, split_by_image
from smalti.config import Config, InputError
from smalti.content_images import label_colours
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.decode import BrokenImageError, PixelSize
from smalti.data.pairing.base import FilePair, Paired
from smalti.data.pairing.matching import Partners, open_beside
from smalti.data.sources.base import ImageSource, RawImage, same_spelling
from smalti.data.sources.part_names import KEYPOINTS
from smalti.data.sources.parts import scene
from smalti.data.transforms import Crop
from smalti.types import Window
from smalti.words import counted

NOT_SEEN = (0.0, 0.0, 0.0)
ABSENT = 0  # token of a joint that is not seen, or lies outside of the window
X, Y, SEEN = 0, 1, 2
MOST_LISTED = 5  # joints in a message
JOINT_SHARE = 1 / 64  # radius of a joint's dot in the picture's longer side


class KeypointsConfig(Config):
    """Options of the condition `keypoints`: the joints, and the size of the window."""

    kind: Literal["keypoints"] = "keypoints"
    joints: tuple[str, ...] = Field(min_length=1)
    """Name of each joint, in the order of the files."""
    height_px: int = Field(ge=1)
    """Height in pixels of the prior's window."""
    width_px: int = Field(ge=1)
    """Width in pixels of the prior's window."""
    positions: int = Field(default=32, ge=1)
    """Number of different positions along each side of the window."""


class PosePartners(Partners):
    """Files with the pose of one image each, or with the poses of many images.

    Args:
        source: source of the files.
        scenes: scenes of the images; a file with no image's name may hold poses of many images.
    """

    def __init__(self, source: ImageSource, scenes: Iterable[str]) -> None:
        super().__init__(source)
        self._many: dict[str, RawImage] = {}
        for name in sorted(set(self._positions) - set(scenes)):
            self._add_many(name)

    def scenes(self) -> Iterable[str]:
        """Names of all scenes that have a pose."""
        return self._positions.keys() | self._many.keys()

    def __contains__(self, name: str) -> bool:
        return name in self._positions or name in self._many

    def read(self, name: str) -> RawImage:
        """Read the pose of a scene as the file of one image."""
        return self._many[name] if name in self._many else super().read(name)

    def _add_many(self, name: str) -> None:
        try:
            raw = super().read(name)
            files = split_by_image(raw.content, raw.key)
        except BrokenImageError:
            return  # it has no image, and is named as such
        for file_name, content in files.items():
            # File names are relative to the folder of images.
            below = file_name.replace("\\", "/")  # as a program on Windows writes them
            image = posixpath.splitext(posixpath.join(posixpath.dirname(name), below))[0]
            self._many.setdefault(
                same_spelling(image), RawImage(f"{raw.key}:{file_name}", content, None)
            )
        if files:
            del self._positions[name]


class KeypointsPair(FilePair[Pose]):
    """Joints of the largest person: (joints, 3) float32, x and y in pixels of the crop, 1 if seen.

    Files number the pixels; a joint at pixel 3 lies at its centre, 3.5. A joint that is not seen,
    or lies outside of the crop, is 0, 0, 0.

    Args:
        joints: names of the joints in the order of the files; None takes those of the files.
    """

    kind = "keypoints"
    part = KEYPOINTS

    def __init__(self, joints: tuple[str, ...] | None = None) -> None:
        self.joints = joints
        self._sides = None if joints is None else joint_sides(joints)

    @classmethod
    def partners(cls, images: ImageSource) -> Partners:
        """Open the poses beside a source of images."""
        scenes = (scene(images, index) for index in range(len(images)))
        return PosePartners(open_beside(images, cls.part), scenes)

    def settled(self, partners: Sequence[Partners], scenes: Sequence[Sequence[str]]) -> Self:
        """Fill in the joints of the first file that tells them.

        Raises:
            InputError: no file tells its joints.
        """
        if self.joints is not None:
            return self
        for files, names in zip(partners, scenes, strict=True):
            for name in names:
                try:
                    raw = files.read(name)
                    pose = read_pose(raw.content, raw.key)
                except BrokenImageError:
                    continue
                if pose.names or len(pose.joints):
                    return type(self)(_joint_names(pose, raw.key))
        raise InputError("no file of keypoints shows a person")

    def remarks(self, transform: TransformConfig) -> Iterable[str]:
        """A line on the joints that are exchanged in mirrored images; none without mirroring."""
        return [f"joints: {self._sides}"] if transform.flip else []

    def decode(self, content: bytes, key: str) -> Pose:
        """Read the largest person of a file; it must have the joints `joints`."""
        pose = read_pose(content, key, self.joints)
        if self.joints is None:
            return pose._replace(names=_joint_names(pose, key))
        if pose.names is not None and pose.names != self.joints:
            raise InputError(
                f"{key} has the {counted(len(pose.names), 'joint')} {_listed(pose.names)}; wanted "
                f"are the {counted(len(self.joints), 'joint')} {_listed(self.joints)}"
            )
        if len(pose.joints) == 0:
            return Pose(np.zeros((len(self.joints), 3)), self.joints)
        if len(pose.joints) != len(self.joints):
            raise InputError(
                f"{key} has {counted(len(pose.joints), 'joint')}; wanted are {len(self.joints)}: "
                f"{_listed(self.joints)}"
            )
        return pose

    def cut(self, decoded: Pose, size: PixelSize, crop: Crop) -> Tensor:
        """Move the joints (joints, 3) to pixels of the crop."""
        assert self._sides is not None, "a data set settles its pairs before it reads"
        joints = _centred(decoded)
        joints[:, X] = joints[:, X] * crop.resized.width / size.width - crop.left
        joints[:, Y] = joints[:, Y] * crop.resized.height / size.height - crop.top
        if crop.flip:
            joints[:, X] = crop.size.width - joints[:, X]
            joints = self._sides.mirrored(joints)
        inside = ((joints[:, :SEEN] >= 0) & (joints[:, :SEEN] < crop.size)).all(1)
        joints[~inside] = NOT_SEEN
        joints[joints[:, SEEN] == 0] = NOT_SEEN
        return torch.from_numpy(joints).float()


@CONDITIONS.register("keypoints")
class Keypoints(Condition[KeypointsConfig]):
    """One token for each joint: its position in the window, or "absent".

    Values and codes are (B, joints, 3) float32: x and y in pixels, and 1 if the joint is seen,
    else 0. A joint outside of the window is absent.
    """

    kind = "keypoints"
    moves_with_window = True
    files = KeypointsPair

    @classmethod
    def pair(cls, setup: Setup) -> Paired:
        """Read the pose beside each image, with the joints of the former prior if there is one."""
        return KeypointsPair(None if setup.former is None else setup.former.joints)

    @classmethod
    def configure(cls, setup: Setup, dataset: ImageDataset) -> KeypointsConfig:
        """Take the joints of the files."""
        pair = dataset.pairs[cls.kind]
        assert isinstance(pair, KeypointsPair)
        assert pair.joints is not None, "a data set settles its pairs"
        size = {"height_px": setup.height_px, "width_px": setup.width_px}
        return KeypointsConfig(joints=pair.joints, **size)

    @property
    def length(self) -> int:
        """Number of joints; each has a token."""
        return len(self.config.joints)

    @property
    def vocab_size(self) -> int:
        """Number of positions, one more for "absent" and one for "any pose"."""
        return self.config.positions**2 + 2

    def values(self, asked: Items, count: int, size_px: tuple[int, int] | None = None) -> Tensor:
        """Read joints (count, joints, 3) from files, taken in turn."""
        return read_files(self.kind, asked, count, self.read)

    def read(self, content: bytes, key: str) -> Tensor:
        """Read all joints (joints, 3) float32 of a user's file, in pixels of the whole picture.

        Raises:
            BrokenImageError: it cannot be read.
            InputError: it holds no pose, or a pose with other joints.
        """
        pose = KeypointsPair(self.config.joints).decode(content, key)
        return torch.from_numpy(_centred(pose)).float()

    def remark(self, values: Tensor, size_px: tuple[int, int]) -> str | None:
        """Tell of joints that lie outside of pictures of a height and width in pixels."""
        height, width = size_px
        seen = values[..., SEEN] > 0
        inside = (values[..., :SEEN] >= 0) & (values[..., :SEEN] < torch.tensor([width, height]))
        outside = int((seen & ~inside.all(-1)).sum())
        if not outside:
            return None
        return (
            f"{outside} of {counted(int(seen.sum()), 'joint')} of the pose lie outside of a "
            f"picture of {height}x{width} pixels and count as absent; a pose is in pixels of the "
            "pictures to be made, and is not scaled, since its file tells no size"
        )

    def at(self, codes: Tensor, window: Window) -> Tensor:
        """Joints (B, joints, 3) float32 in pixels from the window's top left corner."""
        left = window.left * self.config.width_px / window.width
        top = window.top * self.config.height_px / window.height
        return codes - torch.tensor([left, top, 0.0], device=codes.device)

    def tokens(self, codes: Tensor) -> Tensor:
        """Tokens (B, joints) int64: 0 for an absent joint, else 1 + positions * row + column."""
        size = torch.tensor([self.config.width_px, self.config.height_px], device=codes.device)
        cells = (codes[..., :SEEN] / size * self.config.positions).floor().long()
        inside = ((cells >= 0) & (cells < self.config.positions)).all(-1)
        numbers = 1 + self.config.positions * cells[..., Y] + cells[..., X]
        return torch.where(inside & (codes[..., SEEN] > 0), numbers, ABSENT)

    def blank(self, count: int) -> Tensor:
        """Make joints (count, joints, 3) float32 that are not seen."""
        return torch.zeros(count, len(self.config.joints), 3)

    def pictures(self, codes: Tensor) -> list[Image.Image]:
        """Draw a dot for each joint that is seen, on black; joints have different colours."""
        size = PixelSize(self.config.width_px, self.config.height_px)
        return [draw_joints(joints, size) for joints in codes]


def draw_joints(joints: Tensor, size: PixelSize) -> Image.Image:
    """Draw a dot for each joint (joints, 3) that is seen, on a black picture of a size."""
    picture = Image.new("RGB", size)
    pen, radius = ImageDraw.Draw(picture), max(1.0, JOINT_SHARE * max(size))
    for (x, y, seen), colour in zip(joints.tolist(), label_colours(len(joints)), strict=True):
        if seen > 0 and 0 <= x < size.width and 0 <= y < size.height:
            pen.circle((x, y), radius, fill=tuple(colour.tolist()))
    return picture


def _centred(pose: Pose) -> NDArray[np.float64]:
    """Joints (joints, 3): x and y in pixels from the picture's corner and 1, zeros if not seen."""
    joints: NDArray[np.float64] = pose.joints + np.array([0.5, 0.5, 0.0])
    joints[:, SEEN] = joints[:, SEEN] > 0
    joints[joints[:, SEEN] == 0] = NOT_SEEN
    return joints


def _joint_names(pose: Pose, key: str) -> tuple[str, ...]:
    if pose.names is not None:
        return pose.names
    if len(pose.joints) == len(COCO_JOINTS):
        return COCO_JOINTS
    raise InputError(
        f"{key} has {counted(len(pose.joints), 'joint')} without names; allowed are the "
        f"{len(COCO_JOINTS)} joints of COCO, or others with their names in categories[].keypoints"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_LISTED]) + (", ..." if len(names) > MOST_LISTED else "")

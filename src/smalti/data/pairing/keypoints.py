"""The pose of a person in each image: (joints, 3) float32.

H, W: size of the crop in pixels.
Reference: arXiv:2012.09841, Sec. 4.2: pose-guided synthesis.
"""

import posixpath
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from smalti.config import InputError
from smalti.data.decode import BrokenImageError
from smalti.data.pairing.base import PAIRED, FilePair
from smalti.data.pairing.joint_sides import joint_sides
from smalti.data.pairing.matching import Partners, open_beside
from smalti.data.pairing.pose_file import COCO_JOINTS, Pose, read_pose, split_by_image
from smalti.data.sources.base import ImageSource, RawImage, same_spelling
from smalti.data.sources.part_names import KEYPOINTS
from smalti.data.sources.parts import scene
from smalti.data.transforms import Crop, PixelSize

ABSENT = (0.0, 0.0, 0.0)
MOST_LISTED = 5  # joints in a message


class PosePartners(Partners):
    """Files of one image's pose each, or of many images'.

    Args:
        source: of the files.
        scenes: of the images: a file of no image's name is looked into for many images.
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

    def key(self, name: str) -> str:
        """Where the pose of a scene came from, printable."""
        return self._many[name].key if name in self._many else super().key(name)

    def read(self, name: str) -> RawImage:
        """The pose of a scene as the file of one image."""
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
            own = posixpath.splitext(posixpath.join(posixpath.dirname(name), below))[0]
            own = same_spelling(own)
            self._many.setdefault(own, RawImage(f"{raw.key}:{file_name}", content, None))
        if files:
            del self._positions[name]


@PAIRED.register("keypoints")
class KeypointsPair(FilePair[Pose]):
    """Joints of the largest person: (joints, 3) float32, x and y in pixels of the crop, 1 if seen.

    Files number the pixels; a joint at pixel 3 lies at its centre, 3.5. A joint that is not seen,
    or lies outside of the crop, is 0, 0, 0.

    Args:
        joints: their names, in the order of the files; None takes those of the files.
    """

    kind = "keypoints"
    part = KEYPOINTS

    def __init__(self, joints: tuple[str, ...] | None = None) -> None:
        self.joints = joints
        self._sides = None if joints is None else joint_sides(joints)

    @classmethod
    def partners(cls, images: ImageSource) -> Partners:
        """The poses beside a source of images."""
        scenes = (scene(images, index) for index in range(len(images)))
        return PosePartners(open_beside(images, cls.part), scenes)

    def settled(self, partners: Sequence[Partners], scenes: Sequence[Sequence[str]]) -> Self:
        """The same, with the joints of the first file that tells them.

        Raises:
            InputError: none does.
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

    def read(self, content: bytes, key: str) -> Tensor:
        """All joints (joints, 3) of a file, in pixels of the whole picture."""
        found = self.decode(content, key)
        return torch.from_numpy(_centred(found)).float()

    def decode(self, content: bytes, key: str) -> Pose:
        """The largest person of a file, with the joints that are wanted."""
        pose = read_pose(content, key, self.joints)
        if self.joints is None:
            return pose._replace(names=_joint_names(pose, key))
        if pose.names is not None and pose.names != self.joints:
            raise InputError(
                f"{key} has the {len(pose.names)} joints {_listed(pose.names)}; wanted are the "
                f"{len(self.joints)} joints {_listed(self.joints)}"
            )
        if len(pose.joints) == 0:
            return Pose(np.zeros((len(self.joints), 3)), self.joints)
        if len(pose.joints) != len(self.joints):
            raise InputError(
                f"{key} has {len(pose.joints)} joints; wanted are {len(self.joints)}: "
                f"{_listed(self.joints)}"
            )
        return pose

    def cut(self, found: Pose, size: PixelSize, crop: Crop) -> Tensor:
        """Joints (joints, 3) in pixels of the crop."""
        assert self._sides is not None, "a data set settles its pairs before it reads"
        joints = _centred(found)
        joints[:, 0] = joints[:, 0] * crop.resized.width / size.width - crop.left
        joints[:, 1] = joints[:, 1] * crop.resized.height / size.height - crop.top
        if crop.flip:
            joints[:, 0] = crop.size.width - joints[:, 0]
            joints = self._sides.mirrored(joints)
        inside = ((joints[:, :2] >= 0) & (joints[:, :2] < crop.size)).all(1)
        joints[~inside] = ABSENT
        joints[joints[:, 2] == 0] = ABSENT
        return torch.from_numpy(joints).float()


def _centred(pose: Pose) -> NDArray[np.float64]:
    """(joints, 3): x and y in pixels from the picture's corner, 1 where seen; else zeros."""
    joints: NDArray[np.float64] = pose.joints + np.array([0.5, 0.5, 0.0])
    joints[:, 2] = joints[:, 2] > 0
    joints[joints[:, 2] == 0] = ABSENT
    return joints


def _joint_names(pose: Pose, key: str) -> tuple[str, ...]:
    if pose.names is not None:
        return pose.names
    if len(pose.joints) == len(COCO_JOINTS):
        return COCO_JOINTS
    raise InputError(
        f"{key} has {len(pose.joints)} joints without names; allowed are the {len(COCO_JOINTS)} "
        "joints of COCO, or others with their names in categories[].keypoints"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_LISTED]) + (", ..." if len(names) > MOST_LISTED else "")

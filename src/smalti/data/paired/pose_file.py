"""JSON files of keypoints, of one image or of many -> the pose of one person.

Of one image: `{"keypoints": [x, y, v, ...]}`, or `{"annotations": [...]}` or `{"people": [...]}`
with such an object for each person. Of many, as COCO has them: `images` (`id`, `file_name`),
`annotations` (`image_id`, `keypoints`, `bbox`) and `categories` (`keypoints`: the joints' names).
v is 0 where a joint is absent.

Reference: https://cocodataset.org/#format-data, "Keypoint Detection".
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smalti.data.decode import BrokenImageError
from smalti.types import InputError

COCO_JOINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""Joints of a person in COCO, which need no names in a file."""
ALLOWED = (
    'allowed are {"keypoints": [x, y, v, ...]}, or a list "annotations" or "people" of such objects'
)


class Pose(NamedTuple):
    """One person of a file."""

    joints: NDArray[np.float64]
    """(joints, 3): x and y as the file has them, and v; (0, 3) where nobody is there."""
    names: tuple[str, ...] | None
    """Of the joints, or None where the file does not tell."""


def read_pose(content: bytes, key: str) -> Pose:
    """The largest person of one image's file.

    Raises:
        BrokenImageError: it is no JSON.
        InputError: it is JSON of something else.
    """
    document = _document(content, key)
    if "keypoints" in document:
        people: Sequence[Any] = [document]
    else:
        people = document.get("annotations", document.get("people"))  # type: ignore[assignment]
        if not isinstance(people, list):
            raise InputError(f"{key} holds no keypoints; {ALLOWED}")
    people = [person for person in people if _has_joints(person, key)]
    if not people:
        return Pose(np.zeros((0, 3)), _names(document, None, key))
    poses = [(person, _joints(person, key)) for person in people]
    person, joints = max(poses, key=lambda pose: _extent(*pose))
    names = _names(document, person.get("category_id"), key)
    if names is not None and len(names) != len(joints):
        raise InputError(
            f"{key} has {len(joints)} joints, but names of {len(names)}: {', '.join(names)}"
        )
    return Pose(joints, names)


def split_by_image(content: bytes, key: str) -> Mapping[str, bytes]:
    """The files of single images that a file of many is made of, by the images' file names.

    Images without a person are left out; a file of one image gives none.

    Raises:
        BrokenImageError: it is no JSON.
        InputError: an image or annotation has not what COCO gives it.
    """
    document = _document(content, key)
    if not isinstance(document.get("images"), list):
        return {}
    try:
        names = {image["id"]: str(image["file_name"]) for image in document["images"]}
        people: dict[str, list[Any]] = {}
        for person in document["annotations"]:
            if person["image_id"] in names and any(person["keypoints"]):
                people.setdefault(names[person["image_id"]], []).append(person)
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{key} is no file of COCO's form; needed are images (id, file_name) and annotations "
            "(image_id, keypoints)"
        ) from error
    categories = document.get("categories", [])
    return {
        name: json.dumps({"annotations": found, "categories": categories}).encode()
        for name, found in people.items()
    }


def _document(content: bytes, key: str) -> dict[str, Any]:
    if not content:
        raise BrokenImageError(key, "it is empty")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:  # also bytes that are no text
        raise BrokenImageError(key, "it is not JSON") from error
    if not isinstance(document, dict):
        raise InputError(f"{key} holds no keypoints; {ALLOWED}")
    return document


def _has_joints(person: Any, key: str) -> bool:
    if not isinstance(person, dict) or not isinstance(person.get("keypoints"), list):
        raise InputError(f"{key} has a person without keypoints; {ALLOWED}")
    return bool(person["keypoints"])


def _joints(person: Mapping[str, Any], key: str) -> NDArray[np.float64]:
    """(joints, 3) of a person."""
    try:
        numbers = np.array(person["keypoints"], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{key} has keypoints that are no numbers; {ALLOWED}") from error
    is_flat = numbers.ndim == 1 and len(numbers) % 3 == 0
    is_table = numbers.ndim == 2 and numbers.shape[1] == 3
    if not (is_flat or is_table) or not np.isfinite(numbers).all():
        raise InputError(
            f"{key} has keypoints of {numbers.size} numbers; needed are three finite ones for each "
            "joint: x, y, v"
        )
    return numbers.reshape(-1, 3)


def _extent(person: Mapping[str, Any], joints: NDArray[np.float64]) -> float:
    """Area of a person's box in the picture, in pixels."""
    box = person.get("bbox")
    if isinstance(box, list) and len(box) == 4:
        return float(box[2]) * float(box[3])
    seen = joints[joints[:, 2] > 0, :2]
    return float(np.prod(np.ptp(seen, axis=0))) if len(seen) else 0.0


def _names(document: Mapping[str, Any], category: Any, key: str) -> tuple[str, ...] | None:
    """Names of the joints of a category, or of the only one there is."""
    categories = document.get("categories", [])
    try:
        named = [one for one in categories if one.get("keypoints")]
        own = [one for one in named if category is not None and one.get("id") == category]
        chosen = next(iter(own or named), None)
        return None if chosen is None else tuple(map(str, chosen["keypoints"]))
    except (AttributeError, TypeError) as error:
        raise InputError(
            f"{key} has categories of another form; allowed are objects with keypoints, the joints'"
            " names"
        ) from error

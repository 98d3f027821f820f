"""Reads the pose of one person from JSON files of keypoints, of one image or of many.

A file of one image is `{"keypoints": [x, y, v, ...]}`, or `{"annotations": [...]}` or
`{"people": [...]}` with such an object for each person. A file of many has the form of COCO:
`images` (`id`, `file_name`), `annotations` (`image_id`, `keypoints`, `bbox`) and `categories`
(`keypoints`: the joints' names). v is 0 if a joint is absent. Annotations without keypoints, which
only have a box, are ignored, as are those of a category with other joints.

Reference: https://cocodataset.org/#format-data, "Keypoint Detection".
"""

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from smalti.config import InputError
from smalti.data.decode import BrokenImageError
from smalti.plain_data import read_json
from smalti.words import counted

logger = logging.getLogger(__name__)

COCO_JOINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)
"""Joints of a person in COCO, which need no names in a file."""
ALLOWED = (
    'allowed are {"keypoints": [x, y, v, ...]}, or a list "annotations" or "people" of such objects'
)

Names = tuple[str, ...]
"""Names of joints; empty if a file does not tell them."""


class Pose(NamedTuple):
    """One person of a file."""

    joints: NDArray[np.float64]
    """Joints (joints, 3): x and y as the file has them, and v; (0, 3) without a person."""
    names: Names | None
    """Names of the joints, or None if the file does not tell them."""


def read_pose(content: bytes, key: str, wanted: Names | None = None) -> Pose:
    """Read the largest person of one image's file.

    Args:
        content: the file's bytes.
        key: where they came from, for messages.
        wanted: joints of the category to look for; None takes the category of most persons.

    Raises:
        BrokenImageError: it is not JSON.
        InputError: it is JSON, but has no keypoints.
    """
    document = _document(content, key)
    by_category = _names_by_category(document, key)
    people = [(_names_of(person, by_category), person) for person in _people(document, key)]
    names = wanted if wanted in by_category.values() else _most_common(people, by_category)
    poses = [(_joints(person, key), person) for one, person in people if one == names]
    if not poses:
        return Pose(np.zeros((0, 3)), names or None)
    joints, _ = max(poses, key=lambda pose: _extent(*pose))
    if names and len(names) != len(joints):
        raise InputError(
            f"{key} has {counted(len(joints), 'joint')}, but names of {len(names)}: "
            f"{', '.join(names)}"
        )
    return Pose(joints, names or None)


def split_by_image(content: bytes, key: str) -> Mapping[str, bytes]:
    """Split a file of many images into files of single images, by the images' file names.

    Persons of another category than most are left out, with a line in the log, and so are images
    without other persons. A file of one image gives no files.

    Raises:
        BrokenImageError: it is not JSON.
        InputError: an image or annotation lacks a value of COCO's form.
    """
    document = _parsed(content, key)
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        return {}
    by_category = _names_by_category(document, key)
    try:
        images = {image["id"]: str(image["file_name"]) for image in document["images"]}
        people = [
            (_names_of(person, by_category), person)
            for person in filter(None, document["annotations"])
            if person["image_id"] in images and any(person.get("keypoints") or ())
        ]
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"{key} is no file of COCO's form; needed are images (id, file_name) and annotations "
            "(image_id, keypoints)"
        ) from error
    names = _most_common(people, by_category)
    by_image: dict[str, list[Any]] = {}
    for one, person in people:
        if one == names:
            by_image.setdefault(images[person["image_id"]], []).append(person)
    _report(key, document, people, names)
    categories = document.get("categories") or []
    return {
        name: json.dumps({"annotations": annotations, "categories": categories}).encode()
        for name, annotations in by_image.items()
    }


def _report(
    key: str, document: Mapping[str, Any], people: Sequence[tuple[Names, Any]], names: Names
) -> None:
    """Log what a user would miss: persons with other joints, or annotations without any."""
    if document["annotations"] and not people:
        logger.warning("no annotation in %s has keypoints of an image there", key)
    others = sum(one != names for one, _ in people)
    if others:
        logger.warning(
            "passed over %d of %d poses in %s: their category has other joints than %s",
            others,
            len(people),
            key,
            ", ".join(names),
        )


def _parsed(content: bytes, key: str) -> Any:
    if not content:
        raise BrokenImageError(key, "it is empty")
    try:
        return read_json(content, key)
    except InputError:  # a key is written twice
        raise
    except (ValueError, RecursionError) as error:  # also bytes that are no text
        raise BrokenImageError(key, "it is not JSON") from error


def _document(content: bytes, key: str) -> dict[str, Any]:
    document = _parsed(content, key)
    if not isinstance(document, dict):
        raise InputError(f"{key} holds no keypoints; {ALLOWED}")
    return document


def _people(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The persons of one image's file that have keypoints."""
    if "keypoints" in document:
        return [document] if not _is_box_only(document) and _has_joints(document, key) else []
    if isinstance(document.get("annotations"), list):
        described = [one for one in document["annotations"] if not _is_box_only(one)]
        return [one for one in described if _has_joints(one, key)]
    if not isinstance(document.get("people"), list):
        raise InputError(f"{key} holds no keypoints; {ALLOWED}")
    return [person for person in document["people"] if _has_joints(person, key)]


def _is_box_only(annotation: Any) -> bool:
    if annotation is None:
        return True
    return isinstance(annotation, dict) and annotation.get("keypoints") is None


def _has_joints(person: Any, key: str) -> bool:
    if not isinstance(person, dict) or not isinstance(person.get("keypoints"), list):
        raise InputError(f"{key} has a person without keypoints; {ALLOWED}")
    return bool(person["keypoints"])


def _joints(person: Mapping[str, Any], key: str) -> NDArray[np.float64]:
    """Joints (joints, 3) of a person."""
    try:
        numbers = np.array(person["keypoints"], dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{key} has keypoints that are no numbers; {ALLOWED}") from error
    is_flat = numbers.ndim == 1 and len(numbers) % 3 == 0
    is_table = numbers.ndim == 2 and numbers.shape[1] == 3
    if not (is_flat or is_table) or not np.isfinite(numbers).all():
        raise InputError(
            f"{key} has keypoints of {numbers.size} numbers; needed are three finite ones for each "
            "joint: x, y, v"
        )
    return numbers.reshape(-1, 3)


def _extent(joints: NDArray[np.float64], person: Mapping[str, Any]) -> float:
    """Area of a person's box in the picture, in pixels."""
    box = person.get("bbox")
    if isinstance(box, list) and [type(side) in (int, float) for side in box] == [True] * 4:
        return float(box[2]) * float(box[3])
    seen = joints[joints[:, 2] > 0, :2]
    return float(np.prod(np.ptp(seen, axis=0))) if len(seen) else 0.0


def _names_by_category(document: Mapping[str, Any], key: str) -> Mapping[str, Names]:
    """Names of the joints of each category by its id as text."""
    try:
        return {
            str(category.get("id")): tuple(map(str, category.get("keypoints") or ()))
            for category in document.get("categories") or ()
        }
    except (AttributeError, TypeError) as error:
        raise InputError(
            f"{key} has categories of another form; allowed are objects with keypoints, the joints'"
            " names"
        ) from error


def _names_of(person: Mapping[str, Any], by_category: Mapping[str, Names]) -> Names:
    """Names of a person's joints by its category, or by the first one without a category."""
    category = str(person.get("category_id"))
    return by_category[category] if category in by_category else _first_named(by_category)


def _most_common(people: Sequence[tuple[Names, Any]], by_category: Mapping[str, Names]) -> Names:
    """The joints' names of most persons; persons without names count if there are no others."""
    counts = Counter(names for names, _ in people)
    if not counts:
        return _first_named(by_category)
    return max(counts, key=lambda names: (bool(names), counts[names]))


def _first_named(by_category: Mapping[str, Names]) -> Names:
    return next(filter(None, by_category.values()), ())

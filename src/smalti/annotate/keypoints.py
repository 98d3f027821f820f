"""The pose of the largest person of photographs.

Axes: B pictures with a person.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from smalti.annotate.base import MARK, Annotator
from smalti.annotate.networks import Network, open_network
from smalti.conditions.pose_file import read_pose
from smalti.config import InputError
from smalti.content_images import label_colours
from smalti.data.decode import PixelSize
from smalti.data.sources.part_names import KEYPOINTS
from smalti.files import json_text

PERSON = "person"
PERSON_SCORE = 0.5
"""Least score of a box that counts as a person."""
JOINT_SCORE = 0.3
"""Least score of a joint that counts as seen, as in the examples of the published poses."""
JOINT_SHARE = 1 / 64  # radius of a joint's dot in the picture's longer side


class Person(NamedTuple):
    """A person of a photograph."""

    box: list[float]
    """Left, top, width and height in pixels."""
    joints: list[float]
    """x, y and 2 for a joint that is seen, or three zeros, one joint after the other."""

    def fitted(self, picture: PixelSize, size: PixelSize) -> "Person":
        """The person where it is once the picture is fitted to a size, as `ImageOps.fit` does.

        The picture is scaled until it covers the size, and cut around its middle. Joints may lie
        outside of what is left.
        """
        scale = max(size.width / picture.width, size.height / picture.height)

        def moved(x: float, y: float) -> tuple[float, float]:
            right, down = x - picture.width / 2, y - picture.height / 2
            return size.width / 2 + scale * right, size.height / 2 + scale * down

        left, top, width, height = self.box
        joints: list[float] = []
        for x, y, seen in zip(*(self.joints[axis::3] for axis in range(3)), strict=True):
            # Joints number the pixels, whose centres lie half a pixel further.
            fitted = [one - 0.5 for one in moved(x + 0.5, y + 0.5)] if seen else [0.0, 0.0]
            joints += [*fitted, seen]
        return Person([*moved(left, top), scale * width, scale * height], joints)


class KeypointsAnnotator(Annotator):
    """Makes JSON files with the joints of the largest person: the one that the condition reads."""

    kind = KEYPOINTS
    part = KEYPOINTS
    suffix = ".json"
    default_model = "hf://usyd-community/vitpose-base-simple"
    default_detector = "hf://PekingU/rtdetr_r18vd_coco_o365"

    def __init__(self, networks: Sequence[Network]) -> None:
        super().__init__(networks)
        self._pose, self._detector = networks
        self.joints = tuple(map(_plain_name, self._pose.labels()))
        """Names of the joints in the order of the files."""

    @classmethod
    def load(cls, models: Mapping[str, str], device: torch.device) -> Self:
        """Load a network that finds the joints in a box, and one that finds the boxes of persons.

        Raises:
            InputError: also if the detector knows no persons.
        """
        pose = open_network(models.get("model", cls.default_model), "PoseEstimation", device)
        name = models.get("detector", cls.default_detector)
        detector = open_network(name, "ObjectDetection", device)
        if PERSON not in detector.labels():
            raise InputError(f"the detector {name} has no class {PERSON!r}; give one of COCO")
        return cls([pose, detector])

    @torch.no_grad()
    def annotate(self, pictures: Sequence[Image.Image]) -> list[Person | None]:
        """Find the largest person of each picture; None where there is no person."""
        boxes = self._boxes(pictures)
        shown = [(picture, box) for picture, box in zip(pictures, boxes, strict=True) if box]
        persons = iter(self._persons(shown) if shown else [])
        return [next(persons) if box else None for box in boxes]

    def _boxes(self, pictures: Sequence[Image.Image]) -> list[list[float] | None]:
        """Left, top, width and height of the largest person of each picture."""
        network = self._detector
        inputs = network.processor(images=list(pictures), return_tensors="pt").to(network.device)
        sizes = [(picture.height, picture.width) for picture in pictures]
        found = network.processor.post_process_object_detection(
            network.model(**inputs), threshold=PERSON_SCORE, target_sizes=sizes
        )
        person = network.labels().index(PERSON)
        return [_largest(one["boxes"][one["labels"] == person].cpu()) for one in found]

    def _persons(self, shown: Sequence[tuple[Image.Image, list[float]]]) -> list[Person]:
        network, boxes = self._pose, [[box] for _, box in shown]
        pictures = [picture for picture, _ in shown]
        inputs = network.processor(images=pictures, boxes=boxes, return_tensors="pt")
        inputs = inputs.to(network.device)
        if getattr(network.model.config.backbone_config, "num_experts", 1) > 1:
            # Networks of several data sets are told whose joints to find; the first is COCO.
            inputs["dataset_index"] = torch.zeros(len(shown), dtype=torch.long).to(network.device)
        outputs = network.model(**inputs)
        found = network.processor.post_process_pose_estimation(outputs, boxes=boxes)
        return [
            Person(box, _joints(one["keypoints"], one["scores"], picture.size))
            for (picture, box), (one,) in zip(shown, found, strict=True)
        ]

    def text(self, made: Person | None) -> str:
        """The text of a file with a person in COCO's form, or without an annotation."""
        annotations = [] if made is None else [{"keypoints": made.joints, "bbox": made.box}]
        document = {
            "annotations": [annotation | {"category_id": 1} for annotation in annotations],
            "categories": [{"id": 1, "name": PERSON, "keypoints": list(self.joints)}],
            MARK: self.maker,
        }
        return json_text(document) + "\n"

    def write(self, made: Person | None, path: Path) -> None:
        """Write the file of a person, or of a photograph without one."""
        path.write_text(self.text(made), encoding="utf-8")

    def maker_of(self, path: Path) -> str | None:
        """The text in a JSON file."""
        try:
            document: Any = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None  # somebody's own file
        return document.get(MARK) if isinstance(document, dict) else None

    def draw(self, path: Path, picture: Image.Image) -> Image.Image:
        """Draw a dot for each joint that is seen onto the darkened photograph."""
        pose = read_pose(path.read_bytes(), str(path))
        drawn = picture.point(lambda value: value // 2)
        pen, radius = ImageDraw.Draw(drawn), max(2.0, JOINT_SHARE * max(drawn.size))
        colours = label_colours(len(pose.joints)).tolist()
        for (x, y, seen), colour in zip(pose.joints.tolist(), colours, strict=True):
            if seen > 0:
                pen.circle((x, y), radius, fill=tuple(colour))
        return drawn

    def training(self, tokenizer: str) -> None:
        """Return None: poses need no tokenizer."""


def _largest(boxes: Tensor) -> list[float] | None:
    """Left, top, width and height of the largest of boxes (n, 4) by their corners."""
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0)
    areas = sides.prod(1)
    if not len(boxes) or areas.max() <= 0:
        return None
    largest = int(areas.argmax())
    return [*boxes[largest, :2].tolist(), *sides[largest].tolist()]


def _joints(places: Tensor, scores: Tensor, size: tuple[int, int]) -> list[float]:
    """The numbers of a file: places (joints, 2) in a picture of a size (width, height)."""
    limit = torch.tensor(size)
    is_inside = ((places >= 0) & (places <= limit - 1)).all(1)
    is_seen = (scores.reshape(-1) > JOINT_SCORE) & is_inside
    rows = torch.cat([places, torch.full((len(places), 1), 2.0)], 1) * is_seen[:, None]
    return [round(number, 2) for number in rows.flatten().tolist()]


def _plain_name(name: str) -> str:
    """A joint's name as in COCO: `left_eye` of `L_Eye`."""
    name = name.strip().lower().replace(" ", "_")
    return re.sub(r"^([lr])_", lambda found: {"l": "left_", "r": "right_"}[found[1]], name)

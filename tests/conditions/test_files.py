"""Files of conditions: poses in JSON, and whole files given for sampling."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from smalti.conditions.keypoints import Keypoints, KeypointsConfig, KeypointsPair
from smalti.conditions.low_resolution import LowResolution, LowResolutionConfig
from smalti.conditions.maps import (
    Depth,
    DepthConfig,
    Edges,
    EdgesConfig,
    Segmentation,
    SegmentationConfig,
)
from smalti.conditions.pose_file import COCO_JOINTS
from smalti.config import InputError
from smalti.content import IGNORED, DepthContent, EdgesContent, LabelsContent, RGBContent
from smalti.content_images import content_images
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.decode import BrokenImageError
from smalti.data.readers import reader_of
from smalti.data.sources import open_source

TWO = Keypoints(KeypointsConfig(joints=("nose", "tail"), height_px=8, width_px=8))
SIZES = {"codebook_size": 8, "grid_height": 2, "grid_width": 2}


def edges_of(content: EdgesContent) -> Edges:
    return Edges(EdgesConfig(content=content, **SIZES))


def as_json(**document: Any) -> bytes:
    return json.dumps(document).encode()


def as_file(values: Any, mode: str | None = None, format: str = "PNG") -> bytes:
    picture = values if isinstance(values, Image.Image) else Image.fromarray(values)
    file = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(file, format)
    return file.getvalue()


# Poses


def test_a_joint_lies_at_the_centre_of_its_pixel() -> None:
    joints = TWO.read(as_json(keypoints=[3, 4, 2, 5, 6, 1]), "key")
    assert joints.dtype == torch.float32
    assert joints.tolist() == [[3.5, 4.5, 1], [5.5, 6.5, 1]]


def test_a_joint_that_is_not_seen_is_zeros() -> None:
    joints = TWO.read(as_json(keypoints=[[3, 4, 0], [5, 6, 1]]), "key")
    assert joints.tolist() == [[0, 0, 0], [5.5, 6.5, 1]]


@pytest.mark.parametrize("name", ["people", "annotations"])
def test_of_several_persons_the_largest_counts(name: str) -> None:
    small, large = [0, 0, 1, 9, 9, 1], [0, 0, 1, 90, 90, 1]
    by_extent = as_json(**{name: [{"keypoints": small}, {"keypoints": large}]})
    assert TWO.read(by_extent, "key")[1, 0] == 90.5
    boxes = [
        {"keypoints": small, "bbox": [0, 0, 99, 99]},
        {"keypoints": large, "bbox": [0, 0, 5, 5]},
    ]
    assert TWO.read(as_json(**{name: boxes}), "key")[1, 0] == 9.5


def test_a_file_without_a_person_has_no_joint_seen() -> None:
    assert TWO.read(as_json(people=[]), "key").tolist() == [[0, 0, 0], [0, 0, 0]]


def test_17_joints_without_names_are_those_of_coco() -> None:
    pose = KeypointsPair(None).decode(as_json(keypoints=[1, 2, 2] * 17), "key")
    assert pose.names == COCO_JOINTS
    assert len(set(COCO_JOINTS)) == 17


def test_other_joints_need_names() -> None:
    with pytest.raises(InputError, match="key has 2 joints without names; allowed are the 17"):
        KeypointsPair(None).decode(as_json(keypoints=[1, 2, 2] * 2), "key")


def test_names_come_from_the_person_s_category() -> None:
    categories = [{"id": 1, "keypoints": ["a"]}, {"id": 2, "keypoints": ["b", "c"]}]
    people = [{"category_id": 2, "keypoints": [1, 2, 2] * 2}]
    pose = KeypointsPair(None).decode(as_json(annotations=people, categories=categories), "key")
    assert pose.names == ("b", "c")


def test_joints_outside_of_the_pictures_are_told_of_and_absent_ones_are_not() -> None:
    joints = TWO.read(as_json(keypoints=[7, 3, 2, 99, 99, 0]), "key")[None]
    assert TWO.remark(joints, (4, 8)) is None  # height and width
    outside = TWO.remark(joints, (8, 4))
    assert outside is not None
    assert outside.startswith("1 of 1 joint of the pose lie outside of a picture of 8x4 pixels")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"keypoints": [1, 2, 1] * 3}, "key has 3 joints; wanted are 2: nose, tail"),
        (
            {"keypoints": [1, 2, 1] * 2, "categories": [{"keypoints": ["tail", "nose"]}]},
            "key has the 2 joints tail, nose; wanted are the 2 joints nose, tail",
        ),
        (
            {"keypoints": [1, 2, 1] * 2, "categories": [{"keypoints": ["nose"]}]},
            "key has 2 joints, but names of 1: nose",
        ),
        ({"keypoints": [1, 2, 1, 4]}, "key has keypoints of 4 numbers"),
        ({"keypoints": [[1, 2], [3, 4], [5, 6]]}, "key has keypoints of 6 numbers"),
        ({"keypoints": [1, 2, float("nan")] * 2}, "three finite ones"),
        ({"keypoints": ["a", "b", "c"]}, "that are no numbers"),
        ({"keypoints": "abc"}, "a person without keypoints"),
        ({"people": [3]}, "a person without keypoints"),
        ({"people": {}}, "key holds no keypoints; allowed are"),
        ({"shapes": []}, "key holds no keypoints; allowed are"),
        ({"keypoints": [1, 2, 1] * 2, "categories": 3}, "categories of another form"),
    ],
)
def test_a_file_of_something_else_is_an_error(document: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        TWO.read(as_json(**document), "key")


def test_a_list_is_an_error() -> None:
    with pytest.raises(InputError, match="key holds no keypoints"):
        TWO.read(b"[1, 2, 1]", "key")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000])
def test_what_is_no_json_is_broken(content: bytes) -> None:
    with pytest.raises(BrokenImageError):
        TWO.read(content, "key")


# A file of many images


def write_coco(root: Path, folder: str = "", **more: Any) -> ImageDataset:
    names = ["a.png", "b.png", "c.png"]
    for name in names:
        (root / "images" / folder).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16)).save(root / "images" / folder / name)
    document = {
        "images": [
            {"id": 10 + number, "file_name": name} for number, name in enumerate([*names, "d.png"])
        ],
        "annotations": [
            {"image_id": 11, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 2]},
            {"image_id": 10, "category_id": 1, "keypoints": [5, 6, 2, 7, 8, 0]},
            {"image_id": 12, "category_id": 1, "keypoints": [0, 0, 0, 0, 0, 0]},
            {"image_id": 13, "category_id": 1, "keypoints": [5, 6, 2, 7, 8, 0]},
        ],
        "categories": [{"id": 1, "keypoints": ["nose", "tail"]}],
    }
    path = root / "keypoints" / folder / "all.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_json(**(document | more)))
    source = open_source(str(root), False)
    config = TransformConfig(size=(16, 20), flip=False)
    return ImageDataset([source], config, 0, paired=[KeypointsPair(None)])


@pytest.mark.parametrize("folder", ["", "train"])
def test_one_file_may_cover_many_images(tmp_path: Path, folder: str) -> None:
    dataset = write_coco(tmp_path, folder)
    joints = {
        Path(sample.key).name: sample.conditions["keypoints"].tolist()
        for sample in (dataset.sample(index, 0) for index in range(len(dataset)))
    }
    assert joints == {
        "a.png": [[5.5, 6.5, 1], [0, 0, 0]],
        "b.png": [[1.5, 2.5, 1], [3.5, 4.5, 1]],
    }
    assert dataset.pairs["keypoints"].joints == ("nose", "tail")
    pairing = dataset.pairing["keypoints"]
    inside = f"{folder}/" if folder else ""
    assert (list(pairing.missing), list(pairing.alone)) == ([f"{inside}c"], [f"{inside}d"])


def test_file_made_on_windows_covers_the_images_of_sub_folders(tmp_path: Path) -> None:
    (tmp_path / "images/train").mkdir(parents=True)
    Image.new("RGB", (20, 16)).save(tmp_path / "images/train/d.png")
    images = [{"id": 13, "file_name": "train\\d.png"}]
    dataset = write_coco(tmp_path, images=images)
    assert [dataset.name(index) for index in range(len(dataset))] == ["images/train/d.png"]


def test_a_file_of_many_images_of_another_form_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"all\.json is no file of COCO's form"):
        write_coco(tmp_path, annotations=[{"id": 3}])


def test_annotations_without_keypoints_are_passed_over(tmp_path: Path, caplog: Any) -> None:
    own = {"image_id": 11, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 2]}
    boxes = [
        {"image_id": 10, "category_id": 1, "bbox": [1, 1, 9, 9], "num_keypoints": 2},
        {"image_id": 11, "category_id": 1, "bbox": [1, 1, 9, 9], "keypoints": None},
        {"image_id": 12, "category_id": 1, "bbox": [1, 1, 9, 9], "keypoints": []},
        None,
    ]
    dataset = write_coco(tmp_path, annotations=[*boxes, own])
    assert [dataset.scene(index) for index in range(len(dataset))] == ["b"]
    assert dataset.sample(0, 0).conditions["keypoints"].tolist() == [[1.5, 2.5, 1], [3.5, 4.5, 1]]
    assert caplog.text == ""


def test_persons_of_another_category_are_passed_over_and_counted(
    tmp_path: Path, caplog: Any
) -> None:
    categories = [
        {"id": 1, "keypoints": ["a", "b", "c"]},
        {"id": 2, "keypoints": ["nose", "tail"]},
        {"id": 3, "name": "a thing without joints"},
    ]
    people = [
        {"image_id": 10, "category_id": 1, "keypoints": [9, 9, 2] * 3},
        {"image_id": 11, "category_id": 1, "keypoints": [9, 9, 2] * 3, "bbox": [0, 0, 99, 99]},
        {"image_id": 11, "category_id": 2, "keypoints": [1, 2, 2, 3, 4, 2]},
        {"image_id": 11, "category_id": 3, "keypoints": [9, 9, 2], "bbox": [0, 0, 99, 99]},
        {"image_id": 12, "category_id": 2, "keypoints": [1, 2, 2, 3, 4, 2]},
        {"image_id": 13, "category_id": 2, "keypoints": [1, 2, 2, 3, 4, 2]},
    ]
    dataset = write_coco(tmp_path, annotations=people, categories=categories)
    assert dataset.pairs["keypoints"].joints == ("nose", "tail")
    assert [dataset.scene(index) for index in range(len(dataset))] == ["b", "c"]
    for index in range(2):
        told = dataset.sample(index, 0).conditions["keypoints"].tolist()
        assert told == [[1.5, 2.5, 1], [3.5, 4.5, 1]]
    assert "passed over 3 of 6 poses in " in caplog.text


def test_a_file_of_boxes_alone_is_named(tmp_path: Path, caplog: Any) -> None:
    with pytest.raises(InputError, match=r"no image in .* has its keypoints"):
        write_coco(tmp_path, annotations=[{"image_id": 10, "bbox": [1, 1, 9, 9]}])
    assert "all.json has keypoints of an image there" in caplog.text


@pytest.mark.parametrize("empty", [None, {"bbox": [1, 2, 3, 4]}, {"keypoints": None}])
def test_one_image_s_annotations_without_keypoints_are_passed_over(empty: Any) -> None:
    person = {"keypoints": [0, 0, 1, 9, 9, 1]}
    told = TWO.read(as_json(annotations=[empty, person]), "key").tolist()
    assert told == [[0.5, 0.5, 1], [9.5, 9.5, 1]]
    assert TWO.read(as_json(annotations=[empty]), "key").tolist() == [[0, 0, 0]] * 2


def test_of_one_image_s_persons_those_with_the_wanted_joints_count() -> None:
    categories = [{"id": 1, "keypoints": ["a"]}, {"id": 2, "keypoints": ["nose", "tail"]}]
    people = [
        {"category_id": 1, "keypoints": [9, 9, 2], "bbox": [0, 0, 99, 99]},
        {"category_id": 2, "keypoints": [0, 0, 1, 9, 9, 1]},
    ]
    told = TWO.read(as_json(annotations=people, categories=categories), "key").tolist()
    assert told == [[0.5, 0.5, 1], [9.5, 9.5, 1]]
    alone = as_json(annotations=people[:1], categories=categories)
    assert TWO.read(alone, "key").tolist() == [[0, 0, 0]] * 2


def test_wrong_joints_name_the_file_and_the_image(tmp_path: Path) -> None:
    people = [{"image_id": 10, "keypoints": [1, 2, 1] * 3}]
    with pytest.raises(InputError, match=r"all\.json:a\.png has 3 joints without names"):
        write_coco(tmp_path, annotations=people, categories=[])


# Files for sampling


def test_a_whole_label_map_is_read() -> None:
    content = LabelsContent(classes=3, ignore=255)
    condition = Segmentation(SegmentationConfig(content=content, **SIZES))
    labels = condition.read(as_file(np.array([[0, 2, 255]], np.uint8)), "key")
    assert labels.tolist() == [[0, 2, IGNORED]]
    with pytest.raises(InputError, match="key has label 3; allowed are 0 to 2"):
        condition.read(as_file(np.array([[3]], np.uint8)), "key")


def test_a_whole_depth_map_is_read() -> None:
    condition = Depth(DepthConfig(content=DepthContent(), **SIZES))
    depth = condition.read(as_file(np.array([[0, 51, 255]], np.uint8)), "key")
    assert depth.shape == (1, 1, 3)
    assert depth.flatten().tolist() == pytest.approx([-1, -0.6, 1])


def test_edges_of_a_photograph_are_found() -> None:
    values = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    content = EdgesContent(sigma=2.0)
    edges = edges_of(content).read(as_file(values), "key")
    assert edges.shape == (1, 30, 40)
    assert torch.equal(edges, reader_of(content).to_image(Image.fromarray(values)))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA"])
def test_a_drawing_is_taken_for_edges(mode: str) -> None:
    values = np.random.default_rng(0).integers(0, 2, (30, 40), dtype=np.uint8) * 255
    edges = edges_of(EdgesContent()).read(as_file(values, mode), "key")
    assert torch.equal(edges[0] == 1, torch.from_numpy(values == 255))
    assert set(edges.unique().tolist()) == {-1, 1}


def test_a_drawing_of_16_bits_is_split_at_half() -> None:
    values = np.array([[0, 32000, 33000, 65535]], dtype=np.uint16)
    edges = edges_of(EdgesContent()).read(as_file(values), "key")
    assert edges.flatten().tolist() == [-1, -1, 1, 1]


def test_edges_come_back_from_their_picture() -> None:
    content = EdgesContent()
    edges = (torch.rand(1, 9, 7, generator=torch.Generator().manual_seed(0)) > 0.5) * 2.0 - 1
    assert torch.equal(
        edges_of(content).read(as_file(content_images(content).to_picture(edges)), "key"), edges
    )


def test_a_small_picture_is_enlarged() -> None:
    values = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    config = LowResolutionConfig(content=RGBContent(), factor=8, **SIZES)
    image = LowResolution(config).read(as_file(values), "key")
    assert image.shape == (3, 8, 16)
    assert (image.min(), image.max()) == (-1, 1)
    assert (image[..., 0] < -0.9).all()
    assert (image[..., -1] > 0.9).all()


@pytest.mark.parametrize(
    "condition",
    [
        Segmentation(SegmentationConfig(content=LabelsContent(classes=3), **SIZES)),
        Depth(DepthConfig(content=DepthContent(), **SIZES)),
        edges_of(EdgesContent()),
        LowResolution(LowResolutionConfig(content=RGBContent(), **SIZES)),
        TWO,
    ],
    ids=str,
)
def test_damaged_files_are_broken(condition: Any) -> None:
    with pytest.raises(BrokenImageError, match="key"):
        condition.read(b"text", "key")

"""Data sets with photographs and maps side by side."""

import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from smalti.config import InputError
from smalti.data.sources import open_source
from smalti.data.sources.parts import describe_parts, scene

NAMES = ["a", "b", "c"]


def make_folder(root: Path, encode: Any, tools: Any) -> str:
    for part in ("images", "segmentations"):
        (root / "set" / part).mkdir(parents=True)
        for number, name in enumerate(NAMES):
            (root / "set" / part / f"{name}.png").write_bytes(encode(number))
    return str(root / "set")


def make_list(root: Path, encode: Any, tools: Any) -> str:
    names = [f"{part}/{name}.png" for part in ("images", "segmentations") for name in NAMES]
    (root / "list.txt").write_text("\n".join(names), encoding="utf-8")
    return str(root / "list.txt")


def make_tar(root: Path, encode: Any, tools: Any) -> str:
    members = {
        f"{part}/{name}.png": encode(number)
        for number, name in enumerate(NAMES)
        for part in ("images", "segmentations")
    }
    tools["tar"](root / "set.tar", members)
    return str(root / "set.tar")


@pytest.fixture(params=[make_folder, make_list, make_tar], ids=["folder", "list", "tar"])
def spec(request: Any, tmp_path: Path, encode: Any, write_tar: Any) -> str:
    return str(request.param(tmp_path, encode, {"tar": write_tar}))


@pytest.mark.parametrize("part", ["images", "segmentations"])
def test_only_the_wanted_part_is_read(spec: str, part: str) -> None:
    source = open_source(spec, classes=False, part=part)
    assert [source.name(index).split("/")[-2] for index in range(len(source))] == [part] * 3


def test_photographs_are_the_part_that_is_read_otherwise(spec: str) -> None:
    source = open_source(spec, classes=False)
    assert [source.name(index).split("/")[-2] for index in range(len(source))] == ["images"] * 3


def test_parts_of_a_scene_have_its_name(spec: str) -> None:
    images, maps = (open_source(spec, False, part) for part in ("images", "segmentations"))
    scenes = [scene(images, index) for index in range(3)]
    assert scenes == [scene(maps, index) for index in range(3)]
    assert len(set(scenes)) == 3


def test_a_part_that_is_not_there_is_an_error(spec: str) -> None:
    with pytest.raises(InputError, match="no folder depths/, but images/, segmentations/"):
        open_source(spec, classes=False, part="depths")


def test_a_folder_of_maps_alone_is_read_whole(photos: Path) -> None:
    assert len(open_source(str(photos), classes=False, part="segmentations")) == 6


def test_a_folder_called_images_means_nothing_without_maps(tmp_path: Path, encode: Any) -> None:
    for folder in ("images", "more"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.png").write_bytes(encode(1))
    source = open_source(str(tmp_path), classes=True)
    assert source.class_names == ("images", "more")


def test_folders_above_may_be_called_like_a_part(tmp_path: Path, encode: Any) -> None:
    root = tmp_path / "images"
    make_folder(root, encode, None)
    names = [f"{root}/set/{part}/{n}.png" for part in ("segmentations", "images") for n in NAMES]
    spec = tmp_path / "list.txt"
    spec.write_text("\n".join(names), encoding="utf-8")
    images, maps = (open_source(str(spec), False, part) for part in ("images", "segmentations"))
    assert [images.name(index) for index in range(len(images))] == names[3:]
    assert scene(images, 0) == scene(maps, 0) == f"{root}/set/a"


def test_classes_are_the_folders_inside_a_part(tmp_path: Path, encode: Any) -> None:
    for path in ("images/cat/1.png", "images/dog/2.png", "depths/cat/1.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(encode(1))
    source = open_source(str(tmp_path), classes=True)
    assert source.class_names == ("cat", "dog")
    assert len(source) == 2


def test_classes_of_a_tar_are_those_of_the_wanted_part(
    tmp_path: Path, encode: Any, write_tar: Any
) -> None:
    members = {}
    for part in ("images", "depths"):
        for number, label in enumerate([b"1", b"0"]):
            members[f"{part}/{number}.png"] = encode(number)
            members[f"{part}/{number}.cls"] = label
    write_tar(tmp_path / "set.tar", members)
    source = open_source(str(tmp_path / "set.tar"), classes=True, part="depths")
    assert [source.label(index) for index in range(len(source))] == [1, 0]


def test_parts_of_a_table_are_columns(tmp_path: Path, encode: Any) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {
        name: pa.array([{"bytes": encode(number), "path": None}], struct)
        for number, name in enumerate(["image", "depth"])
    }
    pq.write_table(pa.table(columns), tmp_path / "set.parquet")
    spec = str(tmp_path / "set.parquet")
    images, depths = (open_source(spec, False, part) for part in ("images", "depths"))
    assert [images.content(0), depths.content(0)] == [encode(0), encode(1)]
    assert scene(images, 0) == scene(depths, 0)
    with pytest.raises(InputError, match="no column segmentation of images"):
        open_source(spec, classes=False, part="segmentations")


# Folders of other names


def write(root: Path, encode: Any, *paths: str) -> str:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(encode())
    return str(root)


def names(spec: str, part: str = "images", classes: bool = False) -> list[str]:
    source = open_source(spec, classes, part)
    return [source.name(index) for index in range(len(source))]


@pytest.mark.parametrize(
    ("photographs", "maps"),
    [
        ("images", "masks"),
        ("images", "labels"),
        ("Images", "annotations"),
        ("images", "Segmentations"),
        ("JPEGImages", "SegmentationClass"),
        ("IMAGES", "Label Maps"),
        ("img", "gt"),
        ("photos", "segmentations"),
        ("leftImg8bit", "gtFine"),
    ],
)
@pytest.mark.parametrize("inside", ["", "train/"])
def test_usual_folders_of_label_maps_are_no_photographs(
    tmp_path: Path, encode: Any, caplog: Any, photographs: str, maps: str, inside: str
) -> None:
    own, other = (f"{inside}{folder}/day/1.png" for folder in (photographs, maps))
    spec = write(tmp_path, encode, own, other)
    with caplog.at_level(logging.WARNING):
        images, segmentations = (open_source(spec, False, p) for p in ("images", "segmentations"))
    assert (images.name(0), len(images)) == (own, 1)
    assert (segmentations.name(0), len(segmentations)) == (other, 1)
    assert scene(images, 0) == scene(segmentations, 0) == f"{inside}day/1"
    assert describe_parts(images.parts) == (
        f"images from {inside}{photographs}/; segmentations from {inside}{maps}/"
    )
    assert caplog.text == ""


def test_usual_folders_of_depth_and_poses(tmp_path: Path, encode: Any) -> None:
    spec = write(tmp_path, encode, "rgb/1.png", "Depth/1.png", "poses/1.json")
    assert names(spec) == ["rgb/1.png"]
    assert names(spec, "depths") == ["Depth/1.png"]
    assert names(spec, "keypoints") == ["poses/1.json"]


def test_usual_folders_are_known_in_lists_and_tars(
    tmp_path: Path, encode: Any, write_tar: Any
) -> None:
    paths = ["photos/1.png", "masks/1.png"]
    write(tmp_path, encode, *paths)
    (tmp_path / "list.txt").write_text("\n".join(paths), encoding="utf-8")
    assert names(str(tmp_path / "list.txt")) == ["photos/1.png"]
    for member in ("", "./"):
        write_tar(tmp_path / "set.tar", {f"{member}{path}": encode() for path in paths})
        images, maps = (
            open_source(str(tmp_path / "set.tar"), False, part)
            for part in ("images", "segmentations")
        )
        assert images.name(0) == f"set.tar/{member}photos/1.png"
        assert scene(images, 0) == scene(maps, 0)


@pytest.mark.parametrize(
    "folders",
    [("train", "val"), ("cats", "dogs"), ("mask", "no_mask"), ("with_mask", "labels"), ("gt", "a")],
)
def test_folders_without_photographs_beside_them_are_classes(
    tmp_path: Path, encode: Any, folders: tuple[str, str]
) -> None:
    spec = write(tmp_path, encode, *(f"{folder}/1.png" for folder in folders))
    assert open_source(spec, classes=True).class_names == tuple(sorted(folders))
    assert len(names(spec)) == 2


@pytest.mark.parametrize("folder", ["masks", "train_labels", "trainannot", "Depth", "gt"])
def test_likely_maps_that_are_taken_for_photographs_are_said(
    tmp_path: Path, encode: Any, caplog: Any, folder: str
) -> None:
    spec = write(tmp_path, encode, "train/1.png", f"{folder}/1.png")
    with caplog.at_level(logging.WARNING):
        assert len(names(spec)) == 2
    assert f"{spec}: {folder}/ taken for photographs, though" in caplog.text


@pytest.mark.parametrize("folder", ["mask_images", "ann", "labels_png", "x"])
def test_folders_with_the_names_of_photographs_beside_them_are_said(
    tmp_path: Path, caplog: Any, folder: str
) -> None:
    for path in ("images/train/a.jpg", "images/train/b.jpg", f"{folder}/train/a.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(tmp_path / path)
    assert len(open_source(str(tmp_path), False)) == 3
    assert f"{folder}/ taken for photographs" in caplog.text


def test_other_folders_beside_photographs_are_taken_in_silence(tmp_path: Path, caplog: Any) -> None:
    for path in ("images/a.jpg", "more/b.jpg", "cat/a.jpg", "cat/c.jpg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(tmp_path / path)
    assert len(open_source(str(tmp_path), False)) == 4
    assert not caplog.text


def test_ordinary_folders_are_taken_for_photographs_in_silence(photos: Path, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING):
        names(str(photos))
    assert caplog.text == ""


def test_maps_that_cannot_be_told_apart_are_left_out_and_named(
    tmp_path: Path, encode: Any, caplog: Any
) -> None:
    spec = write(tmp_path, encode, "images/1.png", "masks/1.png", "labels/1.png")
    with caplog.at_level(logging.WARNING):
        assert names(spec) == ["images/1.png"]
    assert "left out 2 pictures of labels/, masks/, maps of a kind" in caplog.text
    with pytest.raises(InputError, match="labels/, masks/ may be that: rename the right one"):
        names(spec, "segmentations")
    (tmp_path / "masks").rename(tmp_path / "segmentations")
    assert names(spec, "segmentations") == ["segmentations/1.png"]
    assert names(spec) == ["images/1.png"]


def test_pictures_beside_the_folders_of_a_scene_are_left_out_and_named(
    tmp_path: Path, encode: Any, caplog: Any
) -> None:
    spec = write(tmp_path, encode, "images/1.png", "masks/1.png", "more/2.png", "3.png")
    with caplog.at_level(logging.WARNING):
        assert names(spec) == ["images/1.png"]
    assert "left out 2 pictures outside of the folders" in caplog.text


def test_classes_lie_inside_the_photographs(tmp_path: Path, encode: Any) -> None:
    spec = write(tmp_path, encode, "photos/cat/1.png", "photos/dog/1.png", "masks/cat/1.png")
    assert open_source(spec, classes=True).class_names == ("cat", "dog")


def test_columns_of_other_names_are_maps(tmp_path: Path, encode: Any) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {
        name: pa.array([{"bytes": encode(number), "path": None}], struct)
        for number, name in enumerate(["Label_Map", "image", "depth_map"])
    }
    pq.write_table(pa.table(columns), tmp_path / "set.parquet")
    parts = ("segmentations", "images", "depths")
    sources = [open_source(str(tmp_path / "set.parquet"), False, part) for part in parts]
    assert [source.content(0) for source in sources] == [encode(number) for number in range(3)]

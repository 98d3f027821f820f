"""Which files belong to which images, in every layout."""

import json
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from smalti.cli.inspect_data import describe_data
from smalti.conditions.coordinates import CoordinatesPair, picture_room
from smalti.conditions.keypoints import KeypointsPair
from smalti.conditions.maps import DepthPair, SegmentationPair
from smalti.config import InputError
from smalti.content import DepthContent, LabelsContent
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.loader import BatchLoader
from smalti.data.maps import check_maps
from smalti.data.pairing.base import Paired
from smalti.data.pairing.matching import describe
from smalti.data.sources import open_source
from smalti.data.split import split_held_out

CROP = TransformConfig(size=8, resize_px="keep")
LABELS = SegmentationPair(LabelsContent(classes=256))
NAMES = ("sub/0", "sub/1", "2")


def picture(number: int, mode: str = "RGB") -> bytes:
    """A noise picture; as L it is the red channel of the same number's photograph."""
    from io import BytesIO

    values = np.random.default_rng(number).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    file = BytesIO()
    Image.fromarray(values if mode == "RGB" else values[..., 0]).save(file, "PNG")
    return file.getvalue()


def pose(number: int, **more: Any) -> bytes:
    """One joint at (4 + number, 7), named."""
    categories = [{"keypoints": ["nose"]}]
    return json.dumps({"keypoints": [4 + number, 7, 2], "categories": categories, **more}).encode()


def files_of(names: tuple[str, ...] = NAMES) -> dict[str, bytes]:
    files = {}
    for number, name in enumerate(names):
        files[f"images/{name}.jpg"] = picture(number)
        files[f"segmentations/{name}.png"] = picture(number, "L")
        files[f"depths/{name}.tif"] = picture(number, "L")
        files[f"keypoints/{name}.json"] = pose(number)
    return files


def write(root: Path, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return str(root)


def open_pairs(spec: str, *pairs: Paired, config: TransformConfig = CROP) -> ImageDataset:
    return ImageDataset([open_source(spec, False)], config, 0, paired=pairs)


def make_folder(root: Path, tools: Any) -> str:
    return write(root / "set", files_of())


def make_list(root: Path, tools: Any) -> str:
    files = files_of()
    write(root, files)
    (root / "list.txt").write_text("\n".join(reversed(list(files))), encoding="utf-8")
    return str(root / "list.txt")


def make_tar(root: Path, tools: Any) -> str:
    tools(root / "set.tar", files_of())
    return str(root / "set.tar")


def make_parquet(root: Path, tools: Any) -> str:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = range(3)
    modes = (("image", "RGB"), ("segmentation", "L"), ("depth", "L"))
    columns = {
        name: pa.array([{"bytes": picture(row, mode), "path": None} for row in rows], struct)
        for name, mode in modes
    }
    columns["keypoints"] = pa.array([pose(row).decode() for row in rows])
    pq.write_table(pa.table(columns), root / "set.parquet", row_group_size=2)
    return str(root / "set.parquet")


LAYOUTS = [make_folder, make_list, make_tar, make_parquet]


@pytest.fixture(params=LAYOUTS, ids=["folder", "list", "tar", "parquet"])
def spec(request: Any, tmp_path: Path, write_tar: Any) -> str:
    return str(request.param(tmp_path, write_tar))


def test_every_layout_gives_each_image_its_own_files(spec: str) -> None:
    dataset = open_pairs(spec, LABELS, DepthPair(DepthContent()), KeypointsPair(None))
    assert len(dataset) == 3
    assert {kind: pairing.matched for kind, pairing in dataset.pairing.items()} == {
        "segmentation": 3,
        "depth": 3,
        "keypoints": 3,
    }
    assert dataset.pairs["keypoints"].joints == ("nose",)
    batch = next(BatchLoader(dataset, 3, 0, 0).evaluation_batches())
    red = ((batch.images[:, 0] + 1) * 127.5).round().long()
    assert torch.equal(red, batch.conditions["segmentation"])
    torch.testing.assert_close(batch.conditions["depth"][:, 0], batch.images[:, 0])
    # Of 20 x 16 pixels the centre begins at (6, 4): joint n, at 4 + n, is inside from n = 2 on.
    seen = {float(joint[0, 0]) for joint in batch.conditions["keypoints"] if joint[0, 2]}
    assert seen == {0.5}


def test_batches_are_the_same_with_workers(spec: str) -> None:
    dataset = open_pairs(spec, LABELS, KeypointsPair(None), CoordinatesPair())
    first, second = (next(BatchLoader(dataset, 3, 0, workers).batches(2)) for workers in (0, 1))
    assert list(first.conditions) == list(second.conditions)
    for kind, told in first.conditions.items():
        assert torch.equal(told, second.conditions[kind])


def test_files_of_keypoints_are_no_images(spec: str) -> None:
    assert len(open_source(spec, False)) == 3
    assert len(open_source(spec, False, "keypoints")) == 3


def test_images_without_a_partner_are_left_out_and_named(tmp_path: Path) -> None:
    files = files_of()
    del files["segmentations/2.png"]
    files["segmentations/alone.png"] = picture(0, "L")
    spec = write(tmp_path, files)
    dataset = open_pairs(spec, LABELS, KeypointsPair(None))
    assert [dataset.name(index) for index in range(2)] == ["images/sub/0.jpg", "images/sub/1.jpg"]
    assert len(dataset) == 2
    pairing = dataset.pairing["segmentation"]
    assert (pairing.images, pairing.matched) == (3, 2)
    assert (pairing.missing, pairing.alone) == (["2"], ["alone"])
    assert describe(dataset.pairing) == (
        "segmentation: 2 of 3 images, none for 2; without an image: alone; keypoints: 3 of 3 images"
    )


def test_numbers_of_several_sources_count_only_complete_images(tmp_path: Path) -> None:
    specs = []
    for name in ("a", "b"):
        files = files_of()
        del files["segmentations/2.png"]
        specs.append(write(tmp_path / name, files))
    sources = [open_source(spec, False) for spec in specs]
    dataset = ImageDataset(sources, CROP, 0, weights=[0, 1], paired=[LABELS])
    assert [dataset.raw(index).key.removeprefix(str(tmp_path)) for index in range(4)] == [
        *("/a/images/sub/0.jpg", "/a/images/sub/1.jpg"),
        *("/b/images/sub/0.jpg", "/b/images/sub/1.jpg"),
    ]
    assert dataset.pairing["segmentation"].matched == 4
    assert set(dataset.order(0, 0).tolist()) == {2, 3}
    copy = pickle.loads(pickle.dumps(dataset.subset([3])))
    sample = copy.sample(0, 0)
    red = ((sample.image[0] + 1) * 127.5).round().long()
    assert torch.equal(red, sample.conditions["segmentation"])


def test_a_stray_file_is_named_and_does_no_harm(tmp_path: Path) -> None:
    files = files_of() | {"keypoints/notes.json": b"[1]", "keypoints/more.json": b"{"}
    dataset = open_pairs(write(tmp_path, files), KeypointsPair(None))
    assert len(dataset) == 3
    assert sorted(dataset.pairing["keypoints"].alone) == ["more", "notes"]


def test_no_common_name_is_an_error_that_names_both_folders(tmp_path: Path) -> None:
    spec = write(tmp_path, {"images/a.png": picture(0), "segmentations/b.png": picture(0, "L")})
    with pytest.raises(InputError, match=r"no image in .*/images has its segmentation: .*/segment"):
        open_pairs(spec, LABELS)


def test_data_without_the_part_is_an_error(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"photos has no segmentations beside its images but imag"):
        open_pairs(str(photos), LABELS)
    spec = write(tmp_path / "set", files_of())
    for path in (tmp_path / "set/depths").rglob("*.tif"):
        path.unlink()
    with pytest.raises(InputError, match="no depths beside its images but images, keypoints"):
        open_pairs(spec, DepthPair(DepthContent()))


def test_names_pair_whatever_way_unicode_writes_their_accents(tmp_path: Path) -> None:
    """macOS stores the accent of an é as a character of its own, other systems do not."""
    composed, apart = "caf\u00e9/gr\u00fc\u00dfe", "cafe\u0301/gru\u0308\u00dfe"
    files = {
        f"images/{composed}.jpg": picture(0),
        f"segmentations/{apart}.png": picture(0, "L"),
        f"depths/{apart}.png": picture(0, "L"),
        f"keypoints/{apart}.json": pose(0),
    }
    dataset = open_pairs(write(tmp_path, files), LABELS, DepthPair(DepthContent()))
    assert describe(dataset.pairing) == "segmentation: 1 of 1 images; depth: 1 of 1 images"
    assert set(dataset.sample(0, 0).conditions) == {"segmentation", "depth"}
    assert len(open_pairs(str(tmp_path), KeypointsPair(None))) == 1
    assert dataset.scene(0) == composed


def test_file_of_many_poses_pairs_whatever_way_accents_are_written(tmp_path: Path) -> None:
    document = {
        "images": [{"id": 1, "file_name": "cafe\u0301.jpg"}],
        "annotations": [{"image_id": 1, "keypoints": [4, 7, 2]}],
        "categories": [{"keypoints": ["nose"]}],
    }
    files = {
        "images/caf\u00e9.jpg": picture(0),
        "keypoints/all.json": json.dumps(document).encode(),
    }
    assert len(open_pairs(write(tmp_path, files), KeypointsPair(None))) == 1


@pytest.mark.parametrize(
    ("image", "other", "words"),
    [
        ("IMG_1", "img_1", "1 of these only look alike, as 'IMG_1' and 'img_1'"),
        (
            "\uff21\u00e9 1",
            "A\u00e91",
            r"1 of these only look alike, as '\\uff21\\xe9 1' and 'A\\xe91'",
        ),
        ("1", "1_mask", "0 of 1 images, none for 1; without an image: 1_mask$"),
    ],
)
def test_names_that_do_not_pair_are_shown_so_that_they_can_be_told_apart(
    tmp_path: Path, image: str, other: str, words: str
) -> None:
    files = {f"images/{image}.jpg": picture(0), f"segmentations/{other}.png": picture(0, "L")}
    with pytest.raises(InputError, match=words) as caught:
        open_pairs(write(tmp_path, files), LABELS)
    assert "must be those of the images" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_kind_given_twice_is_an_error(spec: str) -> None:
    with pytest.raises(InputError, match="give each kind once"):
        open_pairs(spec, LABELS, LABELS)


def test_a_map_of_another_size_is_named_with_its_image(tmp_path: Path) -> None:
    spec = write(tmp_path, files_of())
    Image.new("L", (10, 8)).save(tmp_path / "segmentations/sub/1.png")
    dataset = open_pairs(spec, LABELS)
    message = r"sub/1\.png is 8x10, but its image .*sub/1\.jpg is 16x20 pixels"
    with pytest.raises(InputError, match=message):
        check_maps(dataset)
    with pytest.raises(InputError, match=message):
        dataset.sample(2, 0)


def test_a_label_that_is_no_class_is_found_before_training(tmp_path: Path) -> None:
    spec = write(tmp_path, files_of())
    with pytest.raises(InputError, match=r"\.png has label \d+; allowed are 0 to 4"):
        check_maps(open_pairs(spec, SegmentationPair(LabelsContent(classes=5))))
    check_maps(open_pairs(spec, LABELS))


def test_broken_partners_are_named_and_replaced_like_broken_images(
    tmp_path: Path, caplog: Any
) -> None:
    spec = write(tmp_path, files_of())
    (tmp_path / "segmentations/2.png").write_bytes(b"text")
    (tmp_path / "keypoints/sub/0.json").write_bytes(b"{")
    dataset = open_pairs(spec, LABELS, KeypointsPair(("nose",)))
    with caplog.at_level(logging.WARNING):
        samples = [dataset.sample(index, 0) for index in range(3)]
    assert {sample.key for sample in samples} == {str(tmp_path / "images/sub/1.jpg")}
    assert dataset.broken[str(tmp_path / "keypoints/sub/0.json")] == "it is not JSON"
    assert str(tmp_path / "segmentations/2.png") in caplog.text
    check_maps(dataset)
    loaded = dataset.load_center(0)
    assert loaded.sample is None
    assert list(loaded.broken) == [str(tmp_path / "segmentations/2.png")]


def test_fingerprint_follows_the_paired_files(tmp_path: Path) -> None:
    spec = write(tmp_path, files_of())
    prints = {open_pairs(spec).fingerprint(), open_pairs(spec, LABELS).fingerprint()}
    assert len(prints) == 2
    prints.add(open_pairs(spec, LABELS).fingerprint())
    assert len(prints) == 2
    Image.new("L", (20, 16), 3).save(tmp_path / "segmentations/2.png")
    assert open_pairs(spec).fingerprint() in prints
    prints.add(open_pairs(spec, LABELS).fingerprint())
    assert len(prints) == 3


def test_held_out_images_are_the_same_with_pairs(tmp_path: Path) -> None:
    spec = write(tmp_path, files_of(tuple(f"{number:02}" for number in range(30))))
    held_out = [split_held_out(open_pairs(spec, *pairs), 0.3).held_out for pairs in ((), (LABELS,))]
    alone, paired = ([part.name(i) for i in range(len(part))] for part in held_out if part)
    assert alone == paired


def test_classes_stay_beside_pairs(tmp_path: Path) -> None:
    spec = write(tmp_path, files_of(("cat/0", "dog/1", "dog/2")))
    source = open_source(spec, classes=True)
    dataset = ImageDataset([source], CROP, 0, paired=[LABELS, KeypointsPair(None)])
    assert dataset.class_names == ("cat", "dog")
    assert [dataset.label(index) for index in range(3)] == [0, 1, 1]


def test_classes_of_a_tar_with_keypoints(tmp_path: Path, write_tar: Any) -> None:
    files = files_of(("0", "1"))
    files |= {"images/0.cls": b"1", "images/1.cls": b"0"}
    write_tar(tmp_path / "set.tar", files)
    source = open_source(str(tmp_path / "set.tar"), classes=True)
    dataset = ImageDataset([source], CROP, 0, paired=[KeypointsPair(None)])
    assert [dataset.label(index) for index in range(2)] == [1, 0]


def test_a_folder_called_keypoints_means_nothing_without_images_beside(tmp_path: Path) -> None:
    spec = write(tmp_path, {"keypoints/a.png": picture(0), "keypoints/a.json": b"[]"})
    assert len(open_source(spec, False)) == 1
    assert open_source(spec, True).class_names == ("keypoints",)


def test_room_is_that_of_the_largest_resized_sides(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned: 10 wide, 40 high
    Image.new("RGB", (40, 10)).save(tmp_path / "a.jpg", exif=exif)
    Image.new("RGB", (30, 12)).save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"text")
    dataset = open_pairs(str(tmp_path), CoordinatesPair())
    assert picture_room(dataset) == (40, 30)
    shrunk = open_pairs(str(tmp_path), CoordinatesPair(), config=TransformConfig(size=5))
    assert picture_room(shrunk) == (20, 12)


def test_inspection_counts_what_is_paired(tmp_path: Path, capsys: Any) -> None:
    files = files_of()
    del files["depths/2.tif"]
    files["keypoints/alone.json"] = pose(0)
    describe_data(write(tmp_path, files), classes=False)
    text = capsys.readouterr().out
    for line in (
        "segmentation: 3 of 3 images",
        "depth:        2 of 3 images",
        "  images without depth: 1 (2)",
        "keypoints:    3 of 3 images",
        "  keypoints without an image: 1 (alone)",
    ):
        assert line in text.splitlines()


def test_inspection_says_which_folders_are_what(tmp_path: Path, capsys: Any) -> None:
    files = {"Photos/A.jpg": picture(0), "masks/a.png": picture(0, "L")}
    describe_data(write(tmp_path, files), classes=False)
    lines = capsys.readouterr().out.splitlines()
    assert "folders:      images from Photos/; segmentations from masks/" in lines
    assert f"{tmp_path}: 1 image" in lines
    assert "segmentation: 0 of 1 images" in lines
    assert "  1 of these only look alike, as 'A' and 'a'" in lines


def test_inspection_of_photographs_alone_tells_of_no_pairs(photos: Path, capsys: Any) -> None:
    describe_data(str(photos), classes=False)
    assert "segmentation" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "pair", "expected"),
    [
        ("camvid-val.tar", SegmentationPair(LabelsContent(classes=12)), (51, 51)),
        ("task-examples.tar", DepthPair(DepthContent()), (115, 25)),
    ],
)
def test_real_files_are_paired(shared_dir: Path, file: str, pair: Paired, expected: Any) -> None:
    dataset = open_pairs(
        str(shared_dir / "data" / file), pair, config=TransformConfig(size=32, crop="center")
    )
    pairing = dataset.pairing[pair.kind]
    assert (pairing.images, pairing.matched) == expected
    assert len(dataset) == pairing.matched
    subset = dataset.subset(range(0, len(dataset), 5))
    check_maps(subset)
    assert subset.sample(0, 0).conditions[pair.kind].shape[-2:] == (32, 32)

"""An image and what is paired with it go through the same crop and flip."""

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from smalti.conditions.coordinate_map import CoordinateMapPair
from smalti.conditions.coordinates import CoordinatesPair
from smalti.conditions.keypoints import KeypointsPair
from smalti.conditions.low_resolution import (
    LowResolution,
    LowResolutionConfig,
    LowResolutionPair,
    shrunk,
)
from smalti.conditions.maps import DepthPair, EdgesPair, SegmentationPair
from smalti.config import InputError
from smalti.content import DepthContent, EdgesContent, LabelsContent, RGBContent
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.decode import PixelSize
from smalti.data.pairing.base import Paired
from smalti.data.readers import PhotographReader, reader_of
from smalti.data.sources import open_source
from smalti.data.transforms import Crop, draw_crop
from smalti.randomness import generator_for

sides = st.integers(9, 61)
JOINTS = ("nose", "left_hand", "right_hand")
EIGHT = TransformConfig(size=8, resize_px="keep")


def write_png(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def write_scene(root: Path, image: Any, labels: Any) -> None:
    write_png(root / "images/a.png", image)
    write_png(root / "segmentations/a.png", labels)


def open_pairs(root: Path, config: TransformConfig, *pairs: Paired, seed: int = 0) -> ImageDataset:
    return ImageDataset([open_source(str(root), False)], config, seed, paired=pairs)


def noise(height: int, width: int, number: int = 0) -> Any:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(max_examples=40)
@given(height=sides, width=sides, seed=st.integers(0, 2**32))
def test_each_pixel_of_the_crop_has_its_own_label(height: int, width: int, seed: int) -> None:
    image = noise(height, width)
    config = TransformConfig(size=(7, 9), resize_px="keep")
    with tempfile.TemporaryDirectory() as folder:
        write_scene(Path(folder), image, image[..., 0])
        pair = SegmentationPair(LabelsContent(classes=256))
        sample = open_pairs(Path(folder), config, pair, seed=seed).sample(0, 0)
    red = ((sample.image[0] + 1) * 127.5).round().long()
    assert torch.equal(red, sample.conditions["segmentation"])


@settings(max_examples=40)
@given(
    height=st.integers(20, 61),
    width=st.integers(20, 61),
    row=st.floats(0.2, 0.8),
    column=st.floats(0.2, 0.8),
    resize_px=st.one_of(st.just("crop"), st.integers(9, 61)),
    seed=st.integers(0, 2**32),
)
def test_a_shrunk_map_stays_on_its_image(
    height: int, width: int, row: float, column: float, resize_px: Any, seed: int
) -> None:
    below = np.arange(height)[:, None] >= int(row * height)
    right = np.arange(width)[None] >= int(column * width)
    below, right = np.broadcast_arrays(below, right)
    image = np.stack([below, right, below], 2).astype(np.uint8) * 255
    config = TransformConfig(size=(9, 11), resize_px=resize_px)
    with tempfile.TemporaryDirectory() as folder:
        write_scene(Path(folder), image, (2 * below + right).astype(np.uint8))
        pair = SegmentationPair(LabelsContent(classes=4))
        sample = open_pairs(Path(folder), config, pair, seed=seed).sample(0, 0)
    labels = sample.conditions["segmentation"]
    # A pixel right on the border is grey, and may have either label.
    is_sure = (sample.image[:2].abs() > 0.15).all(0)
    shown = 2 * (sample.image[0] > 0).long() + (sample.image[1] > 0).long()
    assert is_sure.float().mean() > 0.6
    assert torch.equal(shown[is_sure], labels[is_sure])


@settings(max_examples=60)
@given(height=sides, width=sides, seed=st.integers(0, 2**32), data=st.data())
def test_a_joint_stays_on_its_pixel(height: int, width: int, seed: int, data: Any) -> None:
    place = st.tuples(st.integers(0, width - 1), st.integers(0, height - 1))
    places = data.draw(st.lists(place, min_size=3, max_size=3, unique=True))
    values = np.zeros((height, width, 3), np.uint8)
    for colour, (x, y) in enumerate(places):
        values[y, x, colour] = 255
    pair = KeypointsPair(JOINTS)
    content = json.dumps({"keypoints": [n for place in places for n in (*place, 2)]}).encode()
    config = TransformConfig(size=(7, 9), resize_px="keep")
    crop = draw_crop(PixelSize(width, height), config, generator_for(seed), "key")
    image = crop.image(Image.fromarray(values), PhotographReader(RGBContent()))
    joints = pair.cut(pair.decode(content, "key"), PixelSize(width, height), crop)
    # In a mirror, a left hand looks like a right one.
    colours = (0, 2, 1) if crop.flip else (0, 1, 2)
    for (x, y, seen), colour in zip(joints.tolist(), colours, strict=True):
        marked = (image[colour] == 1).nonzero().tolist()
        assert marked == ([[int(y), int(x)]] if seen else [])


def test_sides_are_exchanged_in_other_spellings_too() -> None:
    pair = KeypointsPair(("Nose", "LShoulder", "RShoulder"))
    pose = pair.decode(b'{"keypoints": [3, 1, 1, 1, 2, 1, 6, 2, 1]}', "key")
    crop = Crop(PixelSize(8, 8), left=0, top=0, size=PixelSize(8, 8), flip=True)
    joints = pair.cut(pose, PixelSize(8, 8), crop)
    assert joints.tolist() == [[4.5, 1.5, 1], [1.5, 2.5, 1], [6.5, 2.5, 1]]


def test_joints_are_scaled_with_the_picture() -> None:
    pair = KeypointsPair(("nose", "tail"))
    pose = pair.decode(b'{"keypoints": [7.5, 19.5, 1, 39.5, 39.5, 0]}', "key")
    crop = Crop(PixelSize(20, 10), left=1, top=2, size=PixelSize(8, 8))
    joints = pair.cut(pose, PixelSize(40, 40), crop)
    torch.testing.assert_close(joints, torch.tensor([[3.0, 3.0, 1.0], [0.0, 0.0, 0.0]]))


def test_depth_is_cropped_with_its_image(tmp_path: Path) -> None:
    image = noise(30, 23)
    write_png(tmp_path / "images/a.png", image)
    write_png(tmp_path / "depths/a.png", image[..., 1])
    for seed in range(4):
        sample = open_pairs(tmp_path, EIGHT, DepthPair(DepthContent()), seed=seed).sample(0, 0)
        torch.testing.assert_close(sample.conditions["depth"][0], sample.image[1])


def test_evaluation_takes_the_centre_of_both(tmp_path: Path) -> None:
    image = noise(30, 23)
    write_scene(tmp_path, image, image[..., 0])
    pair = SegmentationPair(LabelsContent(classes=256))
    loaded = open_pairs(tmp_path, EIGHT, pair).load_center(0).sample
    assert loaded is not None
    expected = torch.from_numpy(image[11:19, 7:15, 0].astype(np.int64))
    assert torch.equal(loaded.conditions["segmentation"], expected)


def test_pairs_do_not_change_the_image_and_it_is_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = noise(40, 33)
    write_scene(tmp_path, image, image[..., 0])
    pairs = [
        SegmentationPair(LabelsContent(classes=256)),
        EdgesPair(EdgesContent()),
        LowResolutionPair(2),
        CoordinatesPair(),
    ]
    decoded = []
    decode = PhotographReader.decode
    monkeypatch.setattr(
        PhotographReader, "decode", lambda *args: decoded.append(1) or decode(*args)
    )
    alone = open_pairs(tmp_path, EIGHT).sample(0, 3)
    beside = open_pairs(tmp_path, EIGHT, *pairs).sample(0, 3)
    assert torch.equal(alone.image, beside.image)
    assert alone.conditions == {}
    assert set(beside.conditions) == {"segmentation", "edges", "low_resolution", "coordinates"}
    assert len(decoded) == 2


def test_edges_are_those_of_the_cropped_image(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", noise(60, 50))
    content = EdgesContent(sigma=1.5)
    config = TransformConfig(size=24, resize_px=40)
    source = open_source(str(tmp_path), False)
    for seed in range(4):
        paired = ImageDataset([source], config, seed, paired=[EdgesPair(content)])
        edges = ImageDataset([source], config, seed, content=content)
        expected = edges.sample(0, 0).image
        assert (expected == 1).any()
        assert torch.equal(paired.sample(0, 0).conditions["edges"], expected)


def test_low_resolution_is_what_a_file_of_the_small_picture_says(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", noise(40, 40))
    pair = LowResolutionPair(4)
    config = TransformConfig(size=(16, 24), resize_px="keep", flip=False)
    sample = open_pairs(tmp_path, config, pair).sample(0, 0)
    pixels = ((sample.image + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    file = io.BytesIO()
    shrunk(Image.fromarray(pixels), 4).save(file, "PNG")
    told = sample.conditions["low_resolution"]
    assert told.shape == (3, 16, 24)
    assert told.abs().max() <= 1
    sizes = {"codebook_size": 8, "grid_height": 2, "grid_width": 2}
    condition = LowResolution(LowResolutionConfig(content=RGBContent(), factor=4, **sizes))
    assert torch.equal(told, condition.read(file.getvalue(), "key"))
    # Close to the image's own means, without its details.
    means = torch.nn.functional.avg_pool2d(sample.image, 4)
    assert (torch.nn.functional.avg_pool2d(told, 4) - means).abs().mean() < 0.15
    assert told.std() < 0.6 * sample.image.std()


def test_low_resolution_is_mirrored_with_its_image() -> None:
    picture = Image.fromarray(noise(16, 16))
    crop = Crop(PixelSize(16, 16), 0, 0, PixelSize(16, 16))
    pair = LowResolutionPair(2)
    plain, mirrored = (pair.make(picture, crop._replace(flip=flip)) for flip in (False, True))
    assert torch.equal(plain.flip(-1), mirrored)


def test_low_resolution_needs_a_size_that_it_divides(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", noise(40, 40))
    with pytest.raises(InputError, match="8x8 does not shrink by the factor 3"):
        open_pairs(tmp_path, EIGHT, LowResolutionPair(3))


@pytest.mark.parametrize(
    ("left", "top", "flip", "expected"),
    [
        (0, 0, False, [0, 0]),
        (20, 10, False, [1, 1]),
        (5, 5, False, [0.5, 0.25]),
        (5, 5, True, [0.5, 0.75]),
        (0, 0, True, [0, 1]),
    ],
)
def test_coordinates_are_the_share_of_the_room(
    left: int, top: int, flip: bool, expected: list[float]
) -> None:
    crop = Crop(PixelSize(28, 18), left, top, PixelSize(8, 8), flip)
    told = CoordinatesPair().make(Image.new("RGB", (8, 8)), crop)
    torch.testing.assert_close(told, torch.tensor(expected, dtype=torch.float32))


def test_coordinate_map_is_cropped_and_mirrored_with_the_image() -> None:
    crop = Crop(PixelSize(10, 7), 3, 2, PixelSize(4, 3))
    told = CoordinateMapPair().make(Image.new("RGB", (4, 3)), crop)
    first = torch.tensor([[23.0, 24.0, 25.0, 26.0]]) / 70
    torch.testing.assert_close(told, first + torch.tensor([[[0.0], [10.0], [20.0]]]) / 70)
    mirrored = CoordinateMapPair().make(Image.new("RGB", (4, 3)), crop._replace(flip=True))
    assert torch.equal(mirrored, told.flip(-1))


@pytest.mark.parametrize("flip", [False, True])
def test_coordinates_without_room_are_0(flip: bool) -> None:
    crop = Crop(PixelSize(8, 8), 0, 0, PixelSize(8, 8), flip)
    assert CoordinatesPair().make(Image.new("RGB", (8, 8)), crop).tolist() == [0, 0]


def test_what_is_made_of_photographs_needs_them(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", noise(20, 20)[..., 0])
    source = open_source(str(tmp_path), False)
    for pair in (EdgesPair(EdgesContent()), LowResolutionPair(2)):
        with pytest.raises(InputError, match="made of photographs, but the images are depth"):
            ImageDataset([source], EIGHT, 0, content=DepthContent(), paired=[pair])


def test_readers_keep_their_resampling() -> None:
    crop = Crop(PixelSize(4, 4), 0, 0, PixelSize(4, 4))
    values = np.where(np.arange(64).reshape(8, 8) % 2, 0, 11).astype(np.int32)
    labels = crop.image(Image.fromarray(values), reader_of(LabelsContent(classes=12)))
    assert set(labels.unique().tolist()) <= {0, 11}

"""Files of each content as image tensors."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.crops import center_transform, random_transform
from smalti.config import InputError
from smalti.content import IGNORED, DepthContent, EdgesContent, LabelsContent
from smalti.data.config import TransformConfig
from smalti.data.decode import BrokenImageError
from smalti.data.readers import reader_of
from smalti.ranges import to_uint16

SHIFTED = reader_of(LabelsContent(classes=12, shift=True))
LABELS = reader_of(LabelsContent(classes=12, ignore=255))
DEPTH = reader_of(DepthContent())
EDGES = reader_of(EdgesContent())


def as_file(values: Any, mode: str | None = None, format: str = "PNG") -> bytes:
    picture = values if isinstance(values, Image.Image) else Image.fromarray(values)
    buffer = io.BytesIO()
    (picture.convert(mode) if mode else picture).save(buffer, format)
    return buffer.getvalue()


def read(reader: Any, content: bytes) -> torch.Tensor:
    image: torch.Tensor = reader.to_image(reader.decode(content, "key"))
    return image


def label_values(height: int = 4, width: int = 6) -> Any:
    return np.random.default_rng(0).integers(0, 12, (height, width), dtype=np.uint8)


# Label maps


def test_grey_values_are_labels() -> None:
    labels = read(LABELS, as_file(label_values()))
    assert labels.dtype == torch.int64
    assert np.array_equal(labels, label_values())


def test_numbers_of_a_palette_are_labels_whatever_its_colours() -> None:
    picture = Image.fromarray(label_values(), mode="P")
    picture.putpalette(bytes(range(255, -1, -1)) * 3)
    assert np.array_equal(read(LABELS, as_file(picture)), label_values())


def test_16_bit_values_are_labels() -> None:
    values = np.array([[0, 300, 999]], dtype=np.uint16)
    reader = reader_of(LabelsContent(classes=1000))
    assert np.array_equal(read(reader, as_file(values)), values)


def test_the_ignored_number_is_ignored() -> None:
    assert read(LABELS, as_file(np.array([[3, 255]], np.uint8))).tolist() == [[3, IGNORED]]


def test_a_class_may_be_ignored() -> None:
    reader = reader_of(LabelsContent(classes=4, ignore=3))
    assert read(reader, as_file(np.array([[2, 3]], np.uint8))).tolist() == [[2, IGNORED]]


def test_shifted_numbers_are_the_next_class_and_255_is_class_0() -> None:
    assert read(SHIFTED, as_file(np.array([[0, 10, 255]], np.uint8))).tolist() == [[1, 11, 0]]


@pytest.mark.parametrize("number", [11, 254])
def test_a_shifted_number_out_of_range_is_named_with_its_file(number: int) -> None:
    words = rf"key has label {number}; allowed are 0 to 10 .* and 255 .*\(content.shift\)"
    with pytest.raises(InputError, match=words):
        SHIFTED.decode(as_file(np.array([[3, number]], np.uint8)), "key")


def test_coco_labels_as_the_released_code_reads_them(shared_dir: Any) -> None:
    from smalti.data.sources import open_source

    reader = reader_of(LabelsContent(classes=183, shift=True))
    source = open_source(str(shared_dir / "data/task-examples.tar"), False, "segmentations")
    raws = [source.read(index) for index in range(len(source))]
    raws = [raw for raw in raws if "coco/" in raw.key]
    assert raws
    for raw in raws:
        stored = np.asarray(Image.open(io.BytesIO(raw.content))).astype(np.uint8)
        assert np.array_equal(read(reader, raw.content), stored + np.uint8(1))


def test_a_label_out_of_range_is_named_with_its_file() -> None:
    with pytest.raises(InputError, match=r"key has label 12; allowed are 0 to 11 .* and 255"):
        LABELS.decode(as_file(np.array([[12]], np.uint8)), "key")


@pytest.mark.parametrize("label", [-5, IGNORED])
def test_a_negative_label_is_named_with_its_file(label: int) -> None:
    with pytest.raises(InputError, match=rf"key has label {label}; allowed are 0 to 11"):
        LABELS.decode(as_file(np.array([[2, label]], np.int32), format="TIFF"), "key")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
@pytest.mark.parametrize("reader", [LABELS, DEPTH])
def test_pictures_with_colours_are_no_maps(reader: Any, mode: str) -> None:
    with pytest.raises(InputError, match=f"key is a picture of mode {mode}"):
        reader.decode(as_file(label_values(), mode), "key")


def test_a_jpeg_is_no_map() -> None:
    with pytest.raises(InputError, match="key is a JPEG"):
        LABELS.decode(as_file(label_values(), format="JPEG"), "key")


def test_a_damaged_map_is_broken_like_any_image() -> None:
    with pytest.raises(BrokenImageError):
        LABELS.decode(as_file(label_values())[:50], "key")


@settings(max_examples=25)
@given(
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    resize_px=st.one_of(st.just("crop"), st.just("keep"), st.integers(4, 60)),
    seed=st.integers(0, 2**32),
)
def test_resizing_makes_no_new_labels(height: int, width: int, resize_px: Any, seed: int) -> None:
    values = np.where(label_values(height, width) < 6, 0, 11).astype(np.uint8)
    picture = LABELS.decode(as_file(values), "key")
    config = TransformConfig(size=(8, 8), resize_px=resize_px, small="enlarge")
    generator = torch.Generator().manual_seed(seed)
    image = random_transform(picture, config, generator, "key", LABELS)
    assert image.shape == (8, 8)
    assert set(image.unique().tolist()) <= {0, 11}


def test_labels_are_cropped_and_flipped_like_their_photograph() -> None:
    values = label_values(20, 30)
    photograph = Image.fromarray(np.stack([values] * 3, 2))
    config = TransformConfig(size=8, resize_px="keep")
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        image = random_transform(photograph, config, generator, "key")
        generator.manual_seed(seed)
        picture = LABELS.decode(as_file(values), "key")
        labels = random_transform(picture, config, generator, "key", LABELS)
        assert torch.equal(((image[0] + 1) * 127.5).round().long(), labels)


# Depth


def test_16_bit_values_come_back_intact() -> None:
    values = np.arange(2**16, dtype=np.uint16).reshape(256, 256)
    picture = DEPTH.decode(as_file(values), "key")
    depth = center_transform(picture, TransformConfig(size=256, resize_px="keep"), "key", DEPTH)
    assert depth.shape == (1, 256, 256)
    assert (depth.min(), depth.max()) == (-1, 1)
    assert np.array_equal(to_uint16(depth[0]), values)


def test_8_bit_values_are_spread_over_the_range() -> None:
    depth = read(DEPTH, as_file(np.array([[0, 51, 255]], np.uint8)))
    assert depth.flatten().tolist() == pytest.approx([-1, -0.6, 1])


def test_depth_is_resized_between_its_values() -> None:
    values = np.array([[0, 60000]] * 2, dtype=np.uint16).repeat(8, 1).repeat(8, 0)
    picture = DEPTH.decode(as_file(values), "key")
    depth = center_transform(picture, TransformConfig(size=(4, 5), small="enlarge"), "key", DEPTH)
    assert depth.min() >= -1
    assert ((depth > -0.9) & (depth < 0.7)).any()


def as_float_file(depths: Any) -> bytes:
    """As the released code stores depths: a float32 in the four bytes of each RGBA pixel."""
    return as_file(np.asarray(depths, "<f4")[..., None].copy().view(np.uint8))


def float_depths(height: int, width: int) -> Any:
    return np.random.default_rng(0).normal(3.0, 20.0, (height, width)).astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(1, 2), (5, 7), (33, 20)])
def test_depths_in_rgba_are_stretched_to_the_range(height: int, width: int) -> None:
    depths = float_depths(height, width)
    expected = 2 * (depths - depths.min()) / (depths.max() - depths.min()) - 1
    depth = read(DEPTH, as_float_file(depths))
    assert depth.shape == (1, height, width)
    assert depth.dtype == torch.float32
    torch.testing.assert_close(depth[0], torch.from_numpy(expected), rtol=0, atol=1e-6)


def test_depths_in_rgba_are_resized_as_numbers() -> None:
    depths = np.linspace(-4, 9, 45, dtype=np.float32).repeat(31).reshape(45, 31)
    picture = DEPTH.decode(as_float_file(depths), "key")
    depth = center_transform(picture, TransformConfig(size=(15, 7)), "key", DEPTH)
    assert depth.shape == (1, 15, 7)
    rows = depth[0, :, 0]
    assert (depth[0] == rows[:, None]).all()
    torch.testing.assert_close(rows[1:-1].diff(), torch.full((12,), 2 / 15), rtol=0.05, atol=0)


def test_a_map_of_one_depth_is_the_lowest() -> None:
    assert (read(DEPTH, as_float_file(np.full((3, 5), 2.5))) == -1).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_depth_that_is_no_number_breaks_its_file(value: float) -> None:
    depths = float_depths(3, 5)
    depths[1, 2] = value
    with pytest.raises(BrokenImageError, match="key: 1 of its depths are infinite or not a number"):
        DEPTH.decode(as_float_file(depths), "key")


def test_huge_depths_are_stretched_too() -> None:
    depth = read(DEPTH, as_float_file([[-3e38, 3e38, 0.0]]))
    assert depth.flatten().tolist() == pytest.approx([-1, 1, 0])


def test_floats_are_no_labels() -> None:
    with pytest.raises(InputError, match="key is a picture of mode RGBA"):
        LABELS.decode(as_float_file(float_depths(3, 5)), "key")


def test_depth_of_a_real_file(shared_dir: Any, tmp_path: Any) -> None:
    from smalti.data.sources import open_source

    source = open_source(str(shared_dir / "data/task-examples.tar"), False, "depths")
    assert len(source) == 25
    raw = source.read(0)
    stored = np.asarray(Image.open(io.BytesIO(raw.content)))
    assert np.array_equal(to_uint16(read(DEPTH, raw.content)[0]), stored)


# Edges


def test_edges_are_where_brightness_jumps() -> None:
    values = np.zeros((16, 20, 3), np.uint8)
    values[:, 10:] = 255
    edges = read(EDGES, as_file(values))
    assert edges.shape == (1, 16, 20)
    assert set(edges.unique().tolist()) == {-1, 1}
    columns = (edges[0, 2:-2] == 1).any(0).nonzero().flatten().tolist()
    assert columns
    assert set(columns) <= {9, 10}


def test_a_wider_blur_finds_fewer_edges(encode: Any) -> None:
    content = encode(0, 64, 64)
    fine, coarse = (read(reader_of(EdgesContent(sigma=sigma)), content) for sigma in (1.0, 4.0))
    assert (coarse == 1).sum() < (fine == 1).sum()

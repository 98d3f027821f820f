"""Values that use a small part of their range: said, and mended by a white level."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from smalti.conditions.low_resolution import LowResolution, LowResolutionConfig
from smalti.config import InputError
from smalti.content import ContentConfig, DepthContent, EdgesContent, LabelsContent, RGBContent
from smalti.content_images import content_images
from smalti.data.decode import BrokenImageError, decode_image
from smalti.data.readers import reader_of
from smalti.data.sources import open_source
from smalti.data.values import Values, values_of, warning_of

tifffile = pytest.importorskip("tifffile")

TWELVE_BITS = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def png(values: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def tiff(values: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


def read(content: ContentConfig, file: bytes) -> torch.Tensor:
    reader = reader_of(content)
    return reader.to_image(reader.decode(file, "key"))


# White level


def test_twelve_bits_in_a_photograph_of_16_keep_all_greys_with_a_white_level() -> None:
    assert len(read(RGBContent(), png(TWELVE_BITS)).unique()) <= 17
    image = read(RGBContent(white_level=4095), png(TWELVE_BITS))
    assert len(image.unique()) == 256
    assert (image.min(), image.max()) == (-1, 1)


def test_values_above_the_white_level_are_white() -> None:
    image = read(RGBContent(white_level=100), png(np.array([[0, 50, 100, 5000]], np.uint16)))
    assert image[0, 0].tolist() == pytest.approx([-1, 0, 1, 1], abs=5e-3)


def test_a_white_level_leaves_photographs_of_8_bits_as_they_are() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert torch.equal(
        read(RGBContent(white_level=4095), png(values)), read(RGBContent(), png(values))
    )


def test_floats_are_read_as_a_photograph_with_a_white_level() -> None:
    file = tiff(np.array([[0.0, 2.0, 4.0]], np.float32))
    assert read(RGBContent(white_level=4), file)[0, 0].tolist() == pytest.approx(
        [-1, 0, 1], abs=4e-3
    )
    with pytest.raises(BrokenImageError, match=r"floating-point .*content\.white-level"):
        read(RGBContent(), file)


def test_colours_of_16_bits_are_refused_beside_a_white_level() -> None:
    file = tiff(np.zeros((4, 4, 3), np.uint16), photometric="rgb")
    assert read(RGBContent(), file).shape == (3, 4, 4)
    with pytest.raises(
        InputError, match="key has colours of 16 bits, of which the upper 8 are read"
    ):
        read(RGBContent(white_level=4095), file)


@pytest.mark.parametrize(
    "values", [np.uint16([[0, 5000, 10_000, 60_000]]), np.float32([[0, 5e3, 1e4, 6e4]])]
)
def test_depth_in_millimetres_ends_at_its_white_level(values: Any) -> None:
    depth = read(DepthContent(white_level=10_000), tiff(values))
    assert depth.flatten().tolist() == pytest.approx([-1, 0, 1, 1], abs=1e-6)


def test_a_white_level_counts_for_depth_of_8_bits() -> None:
    depth = read(DepthContent(white_level=20), png(np.uint8([[0, 10, 20, 30]])))
    assert depth.flatten().tolist() == pytest.approx([-1, 0, 1, 1], abs=1e-6)


def test_depth_is_written_as_its_files_have_it() -> None:
    content = DepthContent(white_level=4095)
    picture = content_images(content).to_picture(read(content, png(TWELVE_BITS)))
    assert np.array_equal(np.asarray(picture), TWELVE_BITS)


def test_edges_and_small_pictures_of_a_condition_are_read_with_the_white_level() -> None:
    values = np.zeros((16, 16), np.uint16)
    values[:, 8:] = 4095
    assert (read(EdgesContent(), png(values)) == 1).sum() == 0
    assert (read(EdgesContent(white_level=4095), png(values)) == 1).sum() > 0
    content = RGBContent(white_level=4095)
    sizes = {"codebook_size": 8, "grid_height": 2, "grid_width": 2}
    condition = LowResolution(LowResolutionConfig(content=content, factor=2, **sizes))
    assert condition.read(png(values), "key").max() == 1


@pytest.mark.parametrize("level", [0, -1, 65536, 0.5])
def test_a_white_level_is_a_number_of_16_bits(level: float) -> None:
    for content in (RGBContent, DepthContent, EdgesContent):
        with pytest.raises(ValidationError, match="white_level"):
            content(white_level=level)


# What is in a file that is not read


def test_signed_values_are_named() -> None:
    file = tiff(np.int16([[-1024, 3071]]))
    with pytest.raises(BrokenImageError, match=r"signed .* -1024 to 3071"):
        read(RGBContent(), file)
    with pytest.raises(BrokenImageError, match=r"-1024 to 3071, are not in \[0, 65535\]"):
        read(DepthContent(), file)
    with pytest.raises(BrokenImageError, match=r"-1024 to 3071, are not in \[0, 4095\]"):
        read(DepthContent(white_level=4095), file)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((4, 4, 5), np.uint8), "5 bands of 8-bit unsigned numbers"),
        (np.zeros((4, 4, 5), np.uint16), "5 bands of 16-bit unsigned numbers"),
        (np.zeros((4, 4), np.float64), "1 band of 64-bit floating-point numbers"),
        (np.zeros((4, 4, 2), np.int32), "2 bands of 32-bit signed numbers"),
        (np.zeros((4, 4, 2), np.uint16), "2 bands of 16-bit unsigned numbers"),
    ],
)
def test_a_tiff_that_is_not_read_is_described(values: Any, words: str) -> None:
    file = tiff(
        values, photometric="minisblack", planarconfig="contig" if values.ndim > 2 else None
    )
    with pytest.raises(BrokenImageError, match=f"it is a TIFF of {words}, which is not read"):
        decode_image(file, "key")


def test_alpha_of_16_bits_is_read_and_is_no_float() -> None:
    values = np.full((4, 4, 4), 65535, np.uint16)
    values[0, 0, 3] = 0
    values[0, 1, :3] = 0
    file = tiff(values, photometric="rgb", extrasamples=["unassalpha"])
    assert np.asarray(decode_image(file, "key"))[0, :2, 0].tolist() == [255, 0]
    with pytest.raises(InputError, match="mode RGBA of 16 bits a channel"):
        read(DepthContent(), file)


def test_floats_are_no_labels() -> None:
    with pytest.raises(InputError, match=r"mode F \(floating-point numbers\)"):
        read(LabelsContent(classes=3), tiff(np.zeros((4, 4), np.float32)))


# What is said


def values_in(tmp_path: Path, part: str, **files: bytes) -> list[Values]:
    for name, content in files.items():
        (tmp_path / f"{name}.png").write_bytes(content)
    source = open_source(str(tmp_path), False)
    return values_of(source.read, len(source), part)


def test_values_are_counted_apart_for_each_range(tmp_path: Path) -> None:
    found = values_in(
        tmp_path,
        "images",
        a=png(np.uint16([[3, 4095]])),
        b=png(np.uint16([[9, 200]])),
        c=png(np.uint8([[7, 250]])),
        d=b"broken",
    )
    assert found == [Values(3, 4095, 65535, 2), Values(7, 250, 255, 1)]
    assert str(found[0]) == "3 to 4095 of 0 to 65535 (2 files looked at)"


def test_stored_numbers_of_maps_are_counted(tmp_path: Path) -> None:
    palette = Image.fromarray(np.uint8([[0, 11]]), mode="P")
    palette.putpalette(bytes([255] * 768))
    file = io.BytesIO()
    palette.save(file, "PNG")
    assert values_in(tmp_path, "segmentations", a=file.getvalue()) == [Values(0, 11, 255, 1)]


def test_some_files_of_many_are_looked_at() -> None:
    asked: list[int] = []

    def fail(index: int) -> Any:
        asked.append(index)
        raise BrokenImageError("key", "broken")

    assert values_of(fail, 1000, "images") == []
    assert asked == list(range(0, 1000, 20))


@pytest.mark.parametrize(
    ("values", "content", "words"),
    [
        (Values(0, 4095, 65535, 1), RGBContent(), "6.2% of the range; .*white_level 4095"),
        (Values(0, 9000, 65535, 1), DepthContent(), "13.7% of the range; .*white_level 16383"),
        (Values(0, 32767, 65535, 1), DepthContent(), None),
        (Values(0, 4095, 65535, 1), RGBContent(white_level=4095), None),
        (Values(0, 100, 65535, 1), RGBContent(white_level=4095), "100 of 4095"),
        (Values(0, 20, 255, 1), RGBContent(), "if they are label maps or depth, say so"),
        (Values(0, 15, 255, 1), RGBContent(), "of colours of 16 bits only the upper 8 are read"),
        (Values(0, 20, 255, 1), DepthContent(), "white_level 31"),
        (Values(0, 255, 255, 1), RGBContent(white_level=4095), None),
        (Values(0, 11, 255, 1), LabelsContent(classes=12), None),
        (Values(-3, 2, None, 1), DepthContent(), None),
        (Values(-3, 65000, 65535, 1), DepthContent(), "below 0 are not read .*-3"),
    ],
)
def test_a_small_part_of_the_range_is_warned_of(
    values: Values, content: ContentConfig, words: str | None
) -> None:
    warning = warning_of(values, content)
    if words is None:
        assert warning is None
    else:
        assert warning is not None
        assert re.search(words, warning)

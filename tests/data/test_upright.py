"""EXIF orientation in every format, with maps that lie as stored or as shown; odd metadata."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from smalti.conditions.maps import SegmentationPair
from smalti.config import InputError
from smalti.content import LabelsContent, RGBContent
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.decode import decode_image, decode_map, read_header
from smalti.data.maps import check_maps, check_sizes_beside
from smalti.data.sources import open_source
from smalti.data.summary import summarize
from smalti.data.upright import TURNS

FORMATS = ["JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF"]
WIDTH, HEIGHT = 48, 32  # as stored


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def encoded(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    if format == "MPO":
        options |= {"save_all": True, "append_images": [picture]}
    picture.save(file, format, **options)
    return file.getvalue()


def corner() -> Image.Image:
    """White in its upper left quarter, as stored."""
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[: HEIGHT // 2, : WIDTH // 2] = 255
    return Image.fromarray(values)


def turned(picture: Image.Image, orientation: int) -> Image.Image:
    return picture.transpose(TURNS[orientation]) if orientation > 1 else picture


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_header_and_picture_are_upright(format: str, orientation: int) -> None:
    content = encoded(corner().convert("RGB"), format, exif=exif_of(orientation))
    header, picture = read_header(content, "key"), decode_image(content, "key")
    expected = turned(corner(), orientation)
    assert picture.size == expected.size == header.size
    assert header.orientation == orientation
    wrong = np.asarray(picture.convert("L")).astype(int) - np.asarray(expected)
    assert np.mean(np.abs(wrong)) < 12  # JPEG's and AVIF's losses


def scenes(root: Path, image: bytes, suffix: str, labels: Image.Image) -> ImageDataset:
    for part in ("images", "segmentations"):
        (root / part).mkdir(parents=True)
    (root / f"images/a.{suffix}").write_bytes(image)
    labels.save(root / "segmentations/a.png")
    source = open_source(str(root), False)
    transform = TransformConfig(size=16, resize_px="keep", flip=False)
    pair = SegmentationPair(LabelsContent(classes=2))
    return ImageDataset([source], transform, 0, None, RGBContent(), [pair])


@pytest.mark.parametrize("lies", ["as stored", "as shown"])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_map_covers_its_turned_photograph_whichever_way_it_lies(
    tmp_path: Path, format: str, orientation: int, lies: str
) -> None:
    image = encoded(corner().convert("RGB"), format, exif=exif_of(orientation))
    labels = corner().point(lambda value: value // 255)
    labels = labels if lies == "as stored" else turned(labels, orientation)
    dataset = scenes(tmp_path, image, format.lower().replace("mpo", "jpg"), labels)
    check_maps(dataset)
    check_sizes_beside(open_source(str(tmp_path), False, "segmentations"), dataset._sources[0])
    for epoch in range(4):
        sample = dataset.sample(0, epoch)
        is_white = sample.image.mean(0) > 0
        told = sample.conditions["segmentation"].bool()
        assert (is_white == told).float().mean() > 0.9


def test_a_map_that_fits_neither_way_is_refused(tmp_path: Path) -> None:
    image = encoded(corner().convert("RGB"), "WEBP", exif=exif_of(6))
    dataset = scenes(tmp_path, image, "webp", Image.new("L", (WIDTH, HEIGHT + 1)))
    with pytest.raises(InputError, match=r"a\.png is 33x48, but its image .*a\.webp is 48x32"):
        check_maps(dataset)


def test_a_map_of_an_upright_photograph_is_not_turned(tmp_path: Path) -> None:
    image = encoded(corner().convert("RGB"), "PNG")
    dataset = scenes(tmp_path, image, "png", Image.new("L", (HEIGHT, WIDTH)))
    with pytest.raises(InputError, match="both must have the same size"):
        dataset.sample(0, 0)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_a_map_may_have_an_orientation_itself(format: str) -> None:
    content = encoded(corner(), format, exif=exif_of(6))
    assert np.array_equal(decode_map(content, "key").numbers, np.asarray(turned(corner(), 6)))


MALFORMED = [
    b"Exif\0\0garbage",
    b"Exif\0\0II*\0\xff\xff\xff\xff",
    b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(20),
    # An orientation that is a text, and one that is no orientation.
    b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHI4s", 1, 0x0112, 2, 4, b"abc\0") + bytes(4),
    b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHIHH", 1, 0x0112, 3, 1, 9, 0) + bytes(4),
]


@pytest.mark.parametrize("format", ["JPEG", "MPO", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", MALFORMED)
def test_a_malformed_exif_block_turns_nothing_and_breaks_nothing(format: str, exif: bytes) -> None:
    content = encoded(corner().convert("RGB"), format, exif=exif)
    assert read_header(content, "key").orientation == 1
    assert decode_image(content, "key").size == (WIDTH, HEIGHT)


def test_a_malformed_exif_block_of_an_avif_is_passed_over() -> None:
    exif = Image.Exif()
    exif[0x010F] = "maker of the camera"
    content = encoded(corner().convert("RGB"), "AVIF", exif=exif)
    assert b"MM\0*" in content
    damaged = content.replace(b"MM\0*", b"MM\0\xff")
    assert read_header(damaged, "key").size.width == WIDTH
    assert decode_image(damaged, "key").size == (WIDTH, HEIGHT)


def png_with(name: bytes, body: bytes, is_last: bool) -> bytes:
    """A PNG with a chunk before or behind its pixels."""
    content = encoded(corner().convert("RGB"), "PNG")
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    place = len(content) - 12 if is_last else content.index(b"IDAT") - 4
    return content[:place] + chunk + content[place:]


LARGE = {
    b"iCCP": b"profile\0\0" + zlib.compress(bytes(2**21)),
    b"zTXt": b"Comment\0\0" + zlib.compress(b"a" * 2**21),
    b"iTXt": b"Comment\0\1\0\0\0" + zlib.compress(b"a" * 2**21),
}


@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("name", list(LARGE))
def test_a_png_with_megabytes_of_text_or_profile_is_sound(name: bytes, is_last: bool) -> None:
    content = png_with(name, LARGE[name], is_last)
    assert read_header(content, "key").size.width == WIDTH
    assert np.array_equal(np.asarray(decode_image(content, "key").convert("L")), corner())


def test_an_orientation_beside_megabytes_of_text_counts() -> None:
    content = png_with(b"zTXt", LARGE[b"zTXt"], is_last=True)
    body = exif_of(6).tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body
    chunk += struct.pack(">I", zlib.crc32(b"eXIf" + body))
    place = content.index(b"IDAT") - 4
    content = content[:place] + chunk + content[place:]
    assert read_header(content, "key").size.width == HEIGHT
    assert decode_image(content, "key").size == (HEIGHT, WIDTH)


def test_a_summary_finds_what_training_would_skip(tmp_path: Path) -> None:
    whole = encoded(corner().convert("RGB"), "PNG")
    (tmp_path / "cut.png").write_bytes(whole[:-40])
    (tmp_path / "text.png").write_bytes(png_with(b"zTXt", LARGE[b"zTXt"], is_last=True))
    source = open_source(str(tmp_path), False)
    dataset = ImageDataset([source], TransformConfig(size=16), 0)
    skipped = dataset.load(0, 0).broken | dataset.load(1, 0).broken
    assert list(skipped) == [str(tmp_path / "cut.png")]
    assert summarize(dataset).broken == skipped

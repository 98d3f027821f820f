"""Every colour layout becomes the right RGB; damage becomes a BrokenImageError."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smalti.data.decode import BrokenImageError, decode_image, read_header

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def encoded(picture: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def pixels(content: bytes) -> np.ndarray:
    picture = decode_image(content, "key")
    assert picture.mode == "RGB"
    return np.asarray(picture).astype(int)


def palette_picture() -> Image.Image:
    picture = Image.new("P", (2, 1))
    picture.putpalette([*RED, *GREEN])
    picture.putpixel((1, 0), 1)
    return picture


def two_pixels(mode: str, first: Any, second: Any) -> Image.Image:
    picture = Image.new(mode, (2, 1), first)
    picture.putpixel((1, 0), second)
    return picture


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(encoded(two_pixels("L", 0, 77), "PNG"), [(0,) * 3, (77,) * 3], id="grey"),
        pytest.param(encoded(two_pixels("1", 0, 1), "PNG"), [(0,) * 3, WHITE], id="one-bit"),
        pytest.param(encoded(palette_picture(), "PNG"), [RED, GREEN], id="palette"),
        pytest.param(
            encoded(palette_picture(), "PNG", transparency=1), [RED, WHITE], id="palette-alpha"
        ),
        pytest.param(
            encoded(palette_picture(), "GIF", transparency=1), [RED, WHITE], id="gif-alpha"
        ),
        pytest.param(
            encoded(two_pixels("RGBA", (255, 0, 0, 255), (0, 0, 0, 51)), "PNG"),
            [RED, (204,) * 3],
            id="rgba",
        ),
        pytest.param(
            encoded(two_pixels("LA", (10, 255), (0, 51)), "PNG"),
            [(10,) * 3, (204,) * 3],
            id="grey-alpha",
        ),
        pytest.param(
            encoded(two_pixels("RGB", RED, GREEN), "PNG", transparency=GREEN),
            [RED, WHITE],
            id="transparent-colour",
        ),
        pytest.param(
            encoded(two_pixels("CMYK", (0, 255, 255, 0), (0, 0, 0, 255)), "TIFF"),
            [RED, (0, 0, 0)],
            id="cmyk",
        ),
        pytest.param(encoded(two_pixels("RGB", RED, GREEN), "BMP"), [RED, GREEN], id="bmp"),
        pytest.param(encoded(two_pixels("RGB", RED, GREEN), "PPM"), [RED, GREEN], id="ppm"),
        pytest.param(
            encoded(two_pixels("RGB", RED, GREEN), "WEBP", lossless=True), [RED, GREEN], id="webp"
        ),
    ],
)
def test_colour_layouts_are_converted_exactly(
    content: bytes, expected: list[tuple[int, ...]]
) -> None:
    np.testing.assert_array_equal(pixels(content)[0], expected)


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_sixteen_bit_tiff_is_scaled_not_clipped(mode: str) -> None:
    order = ">" if mode == "I;16B" else "<"
    values = np.array([0, 257, 32896, 65535], dtype=f"{order}u2")
    picture = Image.frombytes(mode, (4, 1), values.tobytes())
    np.testing.assert_array_equal(pixels(encoded(picture, "TIFF"))[0, :, 0], [0, 1, 128, 255])


def test_sixteen_bit_png_is_scaled_not_clipped() -> None:
    picture = Image.fromarray(np.array([[0, 257, 32896, 65535]], dtype=np.uint16))
    np.testing.assert_array_equal(pixels(encoded(picture, "PNG"))[0, :, 0], [0, 1, 128, 255])


def test_sixteen_bit_pgm_is_scaled_not_clipped() -> None:
    content = b"P5 4 1 65535\n" + struct.pack(">4H", 0, 257, 32896, 65535)
    np.testing.assert_array_equal(pixels(content)[0, :, 0], [0, 1, 128, 255])


def test_greyscale_of_unknown_range_is_refused() -> None:
    picture = Image.fromarray(np.array([[0, 2**20]], dtype=np.int32))
    with pytest.raises(BrokenImageError, match="32-bit"):
        decode_image(encoded(picture, "TIFF"), "key")


def test_floating_point_pixels_are_refused() -> None:
    picture = Image.fromarray(np.zeros((1, 2), dtype=np.float32))
    with pytest.raises(BrokenImageError, match="floating-point"):
        decode_image(encoded(picture, "TIFF"), "key")


def test_cmyk_jpeg_with_inverted_ink_keeps_its_colours() -> None:
    picture = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    content = encoded(picture, "JPEG", quality=100)
    assert b"Adobe" in content  # the marker that announces inverted values
    np.testing.assert_allclose(pixels(content)[8, 8], RED, atol=3)


def test_avif_is_read() -> None:
    picture = Image.new("RGB", (16, 16), (200, 100, 50))
    np.testing.assert_allclose(pixels(encoded(picture, "AVIF"))[8, 8], (200, 100, 50), atol=6)


@pytest.mark.parametrize(
    ("orientation", "place"),
    [(1, (0, 0)), (2, (0, 3)), (3, (1, 3)), (4, (1, 0)), (5, (0, 0)), (6, (0, 1)), (8, (3, 0))],
)
def test_exif_orientation_turns_the_picture_upright(
    orientation: int, place: tuple[int, int]
) -> None:
    picture = Image.new("L", (4, 2), 0)
    picture.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    result = pixels(encoded(picture, "PNG", exif=exif))
    assert result.shape[:2] == ((2, 4) if orientation < 5 else (4, 2))
    assert tuple(np.argwhere(result[..., 0] == 255)[0]) == place


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_an_animation_is_read(format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN)]
    lossless = {"lossless": True} if format == "WEBP" else {}
    content = encoded(frames[0], format, save_all=True, append_images=frames[1:], **lossless)
    np.testing.assert_array_equal(pixels(content)[4, 4], RED)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM"])
def test_truncated_file_is_broken(encode: Any, format: str) -> None:
    content = encode(format=format, width=64, height=64)
    with pytest.raises(BrokenImageError, match=r"photo\.x: "):
        decode_image(content[: len(content) // 2], "photo.x")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty"), (b"a text, renamed to .jpg", "not a JPEG"), (b"%!PS-Adobe-3.0", "not a JPEG")],
)
def test_bytes_that_are_no_image_are_broken(content: bytes, reason: str) -> None:
    with pytest.raises(BrokenImageError, match=reason):
        decode_image(content, "photo.jpg")


def test_formats_outside_the_list_are_not_tried() -> None:
    with pytest.raises(BrokenImageError, match="not a JPEG"):
        decode_image(encoded(Image.new("RGB", (8, 8)), "PCX"), "photo.png")


# Pillow itself warns at the first size and raises at the second.
@pytest.mark.parametrize("side", [10_000, 20_000])
def test_decompression_bomb_is_refused_by_its_header(encode: Any, side: int) -> None:
    content = encode()
    header = b"IHDR" + struct.pack(">II", side, side) + content[24:29]
    bomb = content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]
    for function in (decode_image, read_header):
        with pytest.raises(BrokenImageError, match="pixels"):
            function(bomb, "bomb.png")


@given(st.binary(max_size=200), st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "WEBP"]), st.data())
def test_damaged_bytes_decode_or_are_broken_and_nothing_else(
    noise: bytes, format: str, data: st.DataObject
) -> None:
    content = encoded(Image.new("RGB", (9, 7), RED), format)
    place = data.draw(st.integers(0, len(content)))
    damaged = content[:place] + noise + content[place + len(noise) :]
    try:
        outcome = decode_image(damaged, "key").mode
    except BrokenImageError as error:
        outcome = error.key
    assert outcome in ("RGB", "key")


def test_header_gives_size_and_mode(encode: Any) -> None:
    header = read_header(encode(width=30, height=10), "key")
    assert (header.size, header.mode) == ((30, 10), "RGB")

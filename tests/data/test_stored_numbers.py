"""Label maps of every layout are read as the numbers that their files store."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from smalti.config import InputError
from smalti.content import DepthContent, LabelsContent
from smalti.data.decode import decode_image, decode_map
from smalti.data.readers import reader_of

Numbers = Any


def numbers_below(top: int, height: int = 5, width: int = 7) -> Numbers:
    values = np.random.default_rng(top).integers(0, top + 1, (height, width))
    values.flat[:2] = (0, top)
    return values


def packed(rows: Numbers, bits: int, align: int = 8) -> bytes:
    """Rows of numbers of `bits` bits each, every row filled up to `align` bits."""
    lines = []
    for row in rows:
        digits = "".join(format(int(value) % 2**bits, f"0{bits}b") for value in row)
        digits += "0" * (-len(digits) % align)
        lines.append(int(digits, 2).to_bytes(len(digits) // 8))
    return b"".join(lines)


def png(rows: Numbers, bits: int, palette: bool = False) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(
        ">IIBBBBB", rows.shape[1], rows.shape[0], bits, 3 if palette else 0, 0, 0, 0
    )
    colours = chunk(b"PLTE", bytes(range(255, 255 - 3 * 2**bits, -1))) if palette else b""
    lines = b"".join(b"\0" + packed(row[None], bits) for row in rows)
    body = chunk(b"IHDR", header) + colours + chunk(b"IDAT", zlib.compress(lines))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def tiff(
    rows: Numbers, bits: int, photometric: int = 1, sample_format: int = 1, bands: int = 1
) -> bytes:
    """An uncompressed TIFF, big endian; photometric 0 is white-is-zero, 1 black-is-zero."""
    body = packed(rows, bits)
    tags = [
        (256, 4, rows.shape[1] // bands),
        (257, 4, rows.shape[0]),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, photometric),
        (273, 4, 8),
        (277, 3, bands),
        (278, 4, rows.shape[0]),
        (279, 4, len(body)),
        (339, 3, sample_format),
    ]
    entries = [
        struct.pack(">HHI", tag, kind, 1)
        + (struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value))
        for tag, kind, value in tags
    ]
    directory = struct.pack(">H", len(tags)) + b"".join(entries) + bytes(4)
    return b"MM\0*" + struct.pack(">I", 8 + len(body)) + body + directory


def bmp(rows: Numbers, bits: int, palette: list[tuple[int, int, int]]) -> bytes:
    body = packed(rows[::-1], bits, align=32)
    colours = b"".join(bytes([blue, green, red, 0]) for red, green, blue in palette)
    sizes = (40, rows.shape[1], rows.shape[0], 1, bits, 0, len(body), 0, 0, len(palette), 0)
    header = struct.pack("<IiiHHIIiiII", *sizes)
    start = 14 + len(header) + len(colours)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + colours + body


def greys(count: int, step: int = 1) -> list[tuple[int, int, int]]:
    return [(step * number,) * 3 for number in range(count)]


def labels_of(content: bytes, classes: int = 2**16) -> Numbers:
    reader = reader_of(LabelsContent(classes=classes))
    return reader.to_image(reader.decode(content, "key")).numpy()


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_png_of_any_bits(bits: int) -> None:
    rows = numbers_below(2**bits - 1)
    assert np.array_equal(labels_of(png(rows, bits)), rows)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palette_png_of_few_bits(bits: int) -> None:
    rows = numbers_below(2**bits - 1)
    assert np.array_equal(labels_of(png(rows, bits, palette=True)), rows)


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_tiff_of_any_bits_whether_white_or_black_is_zero(bits: int, photometric: int) -> None:
    rows = numbers_below(2**bits - 1)
    assert np.array_equal(labels_of(tiff(rows, bits, photometric)), rows)


def test_tiff_of_16_bits() -> None:
    rows = numbers_below(65_000)
    assert np.array_equal(labels_of(tiff(rows, 16)), rows)


@pytest.mark.parametrize("compression", ["tiff_lzw", "group4", "packbits"])
def test_compressed_tiff_of_one_bit(compression: str) -> None:
    rows = numbers_below(1, 16, 24)
    file = io.BytesIO()
    Image.fromarray(rows > 0).save(file, "TIFF", compression=compression)
    assert np.array_equal(labels_of(file.getvalue()), rows)


@pytest.mark.parametrize("bits", [8, 16])
def test_signed_numbers_of_a_tiff_stay_signed(bits: int) -> None:
    rows = np.array([[0, 5, -1]])
    with pytest.raises(InputError, match="key has label -1; allowed are 0 to 65535"):
        labels_of(tiff(rows, bits, sample_format=2))


@pytest.mark.parametrize(
    ("bits", "palette"),
    [
        pytest.param(1, greys(2, 255), id="black and white"),
        pytest.param(1, [(255,) * 3, (0,) * 3], id="white and black"),
        pytest.param(4, greys(16), id="the greys 0 to 15"),
        pytest.param(4, greys(16, 17), id="greys from black to white"),
        pytest.param(4, greys(2, 255), id="two colours of 4 bits"),
        pytest.param(8, greys(2, 255), id="two colours of 8 bits"),
        pytest.param(8, greys(256), id="all greys"),
        pytest.param(8, [(number, 0, 0) for number in range(20)], id="colours"),
    ],
)
def test_numbers_of_a_bmp_whatever_its_palette(
    bits: int, palette: list[tuple[int, int, int]]
) -> None:
    rows = numbers_below(len(palette) - 1)
    content = bmp(rows, bits, palette)
    assert np.array_equal(labels_of(content), rows)
    assert np.array_equal(np.asarray(decode_image(content, "key")), np.array(palette)[rows])


@pytest.mark.parametrize("maxval", [1, 3, 19, 255, 999, 4095, 65535])
def test_numbers_of_a_pgm_whatever_it_says_is_white(maxval: int) -> None:
    rows = numbers_below(maxval)
    body = rows.astype(">u2" if maxval > 255 else ">u1").tobytes()
    assert np.array_equal(labels_of(b"P5 7 5 %d\n" % maxval + body), rows)
    plain = "P2 7 5 {}\n{}\n".format(maxval, " ".join(map(str, rows.flat)))
    assert np.array_equal(labels_of(plain.encode()), rows)


def test_numbers_of_a_pbm() -> None:
    rows = numbers_below(1)
    assert np.array_equal(labels_of(b"P4 7 5\n" + packed(rows, 1)), rows)
    assert np.array_equal(labels_of(("P1 7 5\n" + " ".join(map(str, rows.flat))).encode()), rows)


def test_a_tiff_compressed_as_jpeg_is_no_map() -> None:
    file = io.BytesIO()
    Image.new("L", (16, 16)).save(file, "TIFF", compression="jpeg")
    with pytest.raises(InputError, match="key is a JPEG, which changes a map's values"):
        labels_of(file.getvalue())


@pytest.mark.parametrize(("name", "top"), [("labels_1bit", 1), ("labels_2bit_grey", 3)])
def test_files_that_were_read_wrong(shared_dir: Any, name: str, top: int) -> None:
    content = (shared_dir / f"faults/{name}.png").read_bytes()
    stored = decode_map(content, name)
    assert (stored.numbers.max(), stored.top) == (top, top)
    assert set(labels_of(content, classes=top + 1).flat) == set(range(top + 1))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(png(np.array([[0, 1, 3]]), 2), [-1, -1 / 3, 1], id="2 bits"),
        pytest.param(tiff(np.array([[0, 51, 255]]), 8, 0), [-1, -0.6, 1], id="white is zero"),
        pytest.param(b"P5 3 1 4095\n" + struct.pack(">3H", 0, 819, 4095), [-1, -0.6, 1], id="pgm"),
    ],
)
def test_depth_is_the_stored_number_over_the_range_of_its_file(
    content: bytes, expected: list[float]
) -> None:
    reader = reader_of(DepthContent())
    depth = reader.to_image(reader.decode(content, "key"))
    assert depth.flatten().tolist() == pytest.approx(expected, abs=1e-5)


def test_a_photograph_whose_zero_is_white_is_not_shown_as_its_negative() -> None:
    file = io.BytesIO()
    picture = Image.frombytes("I;16", (2, 1), struct.pack("<2H", 0, 65535))
    picture.save(file, "TIFF", tiffinfo={262: 0})
    assert np.asarray(decode_image(file.getvalue(), "key"))[0, :, 0].tolist() == [255, 0]

"""Pictures that a program has become the codes of their files, and come back in their size."""

import io
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from smalti.codes.picture_codes import decode_pictures, encode_pictures
from smalti.content import DepthContent, EdgesContent, LabelsContent, RGBContent
from smalti.data.readers import reader_of
from smalti.errors import CancelledError, InputError
from smalti.ranges import from_pil
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN

NOISE = np.random.default_rng(0)
PHOTO = NOISE.integers(0, 256, (10, 14, 3), dtype=np.uint8)
LABELS = NOISE.integers(0, 5, (10, 14), dtype=np.uint8)
DEEP = NOISE.integers(0, 2**16, (10, 14), dtype=np.uint16)


def tokenizer_of(content) -> VQGAN:
    config = VQGANConfig(
        content=content, channels=8, norm_groups=2, channel_multipliers=(1, 1), codebook_size=16
    )
    return VQGAN(config).eval()


@pytest.mark.parametrize(
    ("content", "array"),
    [
        (RGBContent(), PHOTO),
        (RGBContent(), PHOTO[..., 0]),
        (EdgesContent(), PHOTO),
        (LabelsContent(classes=5), LABELS),
        (LabelsContent(classes=5), LABELS.astype(np.int64)),
        (DepthContent(), DEEP),
        (DepthContent(), DEEP.astype(np.float64)),
    ],
    ids=["rgb", "grey", "edges", "labels", "labels int64", "depth", "depth floats"],
)
def test_array_picture_and_file_have_the_codes_of_their_image(tmp_path, content, array):
    tokenizer = tokenizer_of(content)
    small = array.astype(np.float32) if array.dtype == np.float64 else array
    picture = Image.fromarray(small.astype(np.uint8) if array.dtype == np.int64 else small)
    path = tmp_path / ("file.tiff" if picture.mode == "F" else "file.png")
    picture.save(path)
    reader = reader_of(content)
    image = reader.to_image(reader.decode(path.read_bytes(), "key"))
    expected = tokenizer.encode(image[None])[0]
    with Image.open(path) as opened:
        found = encode_pictures(tokenizer, [array, picture, opened, path, str(path)])
    assert [torch.equal(one.codes, expected) for one in found] == [True] * 5
    assert [one.name for one in found] == [""] * 3 + [str(path)] * 2
    assert {one.grid for one in found} == {(5, 7)}


def test_sides_that_do_not_divide_come_back_as_they_were():
    tokenizer = tokenizer_of(RGBContent())
    (found,) = encode_pictures(tokenizer, PHOTO[:9, :13])
    assert (found.grid, found.size_px) == ((5, 7), (9, 13))
    (picture,) = decode_pictures(tokenizer, found)
    expected = tokenizer.reconstruct(from_pil(Image.fromarray(PHOTO[:9, :13]))[None])[0]
    torch.testing.assert_close(from_pil(picture), expected, rtol=0, atol=1 / 127)


@pytest.mark.parametrize(
    ("content", "mode"),
    [(LabelsContent(classes=5), "P"), (DepthContent(), "I;16"), (EdgesContent(), "L")],
    ids=["labels", "depth", "edges"],
)
def test_maps_come_back_as_maps(content, mode):
    tokenizer = tokenizer_of(content)
    codes = torch.randint(16, (2, 5, 7), dtype=torch.int32)
    pictures = decode_pictures(tokenizer, [codes, codes[0]])
    assert [picture.size for picture in pictures] == [(14, 10)] * 3
    assert {picture.mode for picture in pictures} == {mode}
    assert pictures[0].tobytes() == pictures[2].tobytes()


def test_pictures_of_one_size_are_encoded_together_in_their_order(monkeypatch):
    tokenizer, batches = tokenizer_of(RGBContent()), []
    encode = VQGAN.encode
    monkeypatch.setattr(
        VQGAN, "encode", lambda self, images: batches.append(len(images)) or encode(self, images)
    )
    wide, tall = PHOTO[:8], PHOTO[:, :8]
    found = encode_pictures(tokenizer, [wide, wide + 1, tall, wide])
    assert batches == [2, 1, 1]
    assert [one.grid for one in found] == [(4, 7), (4, 7), (5, 4), (4, 7)]
    assert torch.equal(found[0].codes, found[3].codes)
    assert not torch.equal(found[0].codes, found[1].codes)


def test_size_resizes_and_crops_as_the_command_does(photos, tokenizer):
    found = encode_pictures(tokenizer, photos, size=(8, 12))
    assert len(found) == 7
    assert {one.grid for one in found} == {(4, 6)}
    with pytest.raises(InputError, match="size 8x9: both sides must be multiples of 2"):
        encode_pictures(tokenizer, photos, size=(8, 9))
    with pytest.raises(InputError, match="smaller than the crop of 64x64"):
        encode_pictures(tokenizer, photos, size=64)
    assert encode_pictures(tokenizer, [photos], size=64, small="enlarge")[0].grid == (32, 32)


def test_photographs_are_turned_upright(tokenizer, tmp_path):
    picture, exif = Image.fromarray(PHOTO), Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as opened:
        found = encode_pictures(tokenizer, [opened, tmp_path / "turned.png"])
        assert opened.size == (14, 10)
    assert [one.grid for one in found] == [(7, 5)] * 2
    assert torch.equal(found[0].codes, found[1].codes)


def test_stored_numbers_of_a_map_count_also_where_pillow_spreads_them(tmp_path):
    tokenizer = tokenizer_of(LabelsContent(classes=5))
    labels = Image.fromarray(LABELS).convert("L")
    labels.putpalette([0] * 768)
    file = io.BytesIO()
    labels.save(file, "PNG", bits=4)
    with Image.open(file) as opened:
        found = encode_pictures(tokenizer, [opened, LABELS])
    assert torch.equal(found[0].codes, found[1].codes)


def test_broken_pictures_of_a_data_set_are_left_out_and_logged(tars, tokenizer, caplog):
    found = encode_pictures(tokenizer, [str(tars), PHOTO])
    assert len(found) == 8 + 1
    assert "6.png" in caplog.text
    assert "6.png" not in str([one.name for one in found])


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (PHOTO / 255, r"picture 0 is an array of float64 of shape \(10, 14, 3\); allowed are"),
        (np.stack([PHOTO, PHOTO]), r"of shape \(2, 10, 14, 3\).*of several pictures give a list"),
        (np.full((4, 4), -1), "picture 0 holds -1 to -1; allowed are 0 to 65535"),
        ("nowhere.png", "nowhere.png"),
        ([Image.new("L", (4, 4)), 7], "picture 1 is a int; allowed are paths, pictures of Pillow"),
        (torch.zeros(1, 3, 4, 4), "is a Tensor; .*tensors go to the tokenizer's own `encode`"),
    ],
)
def test_what_is_no_picture_is_refused_in_a_line(tokenizer, source, words):
    with pytest.raises(InputError, match=words):
        encode_pictures(tokenizer, source)


def test_maps_are_refused_where_they_hold_something_else():
    with pytest.raises(InputError, match="picture 0 has label 9; allowed are 0 to 4"):
        encode_pictures(tokenizer_of(LabelsContent(classes=5)), LABELS + 5)
    with pytest.raises(InputError, match="picture 0 is a picture of mode RGB; a map has one"):
        encode_pictures(tokenizer_of(DepthContent()), PHOTO)


def test_pictures_in_place_of_tensors_are_told_where_to_go(tokenizer):
    with pytest.raises(InputError, match=r"got Image; smalti.encode_pictures takes pictures"):
        tokenizer.encode(Image.fromarray(PHOTO))


@pytest.mark.parametrize("codes", [torch.zeros(2, 2), torch.zeros(3, dtype=torch.int64)])
def test_what_are_no_codes_is_refused(tokenizer, codes):
    with pytest.raises(InputError, match="codes must be integers"):
        decode_pictures(tokenizer, codes)


@pytest.mark.parametrize("codes", ["codes.safetensors", [[1, 2]], np.zeros((2, 2), dtype=int)])
def test_what_are_no_tensors_is_refused(tokenizer, codes):
    with pytest.raises(InputError, match="codes must be tensors or PictureCodes, got "):
        decode_pictures(tokenizer, codes)


def test_progress_is_told_and_a_cancelled_call_ends(photos, tokenizer):
    told = []
    encode_pictures(tokenizer, [PHOTO[:8], photos], on_progress=told.append)
    assert [(one.done, one.total) for one in told] == [(0, 8), (1, 8), (8, 8)]
    cancelled = threading.Event()

    def cancel(progress):
        if progress.done == 1:
            cancelled.set()

    with pytest.raises(CancelledError, match="after 1 of 8 steps"):
        encode_pictures(tokenizer, [PHOTO[:8], photos], on_progress=cancel, cancelled=cancelled)

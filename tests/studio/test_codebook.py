"""Codes of pictures, their decoding, and the codebook, with a tiny tokenizer."""

import pytest
import torch
from PIL import Image

from helpers.studio import TINY
from smalti.config import InputError
from smalti.ranges import from_pil, to_pil
from smalti.studio import codebook as module
from smalti.studio.codebook import MOST_CODES, SWATCH_PX, Codebook, strip
from smalti.studio.worker import Job
from smalti.tokenizer.config import PixelTokenizerConfig
from smalti.tokenizer.pixels import PixelTokenizer
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.vqgan.codebook_picture import decode_alone

CPU = torch.device("cpu")


def job() -> Job:
    return Job(lambda job: None, lambda event, data: None)


def noise(width: int, height: int) -> Image.Image:
    return to_pil(torch.rand(3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1)


@pytest.fixture
def codebook() -> Codebook:
    return Codebook(VQGAN(TINY).eval(), CPU)


@pytest.fixture
def palette() -> Codebook:
    """Four greys, of which 1 and 3 lie together."""
    tokenizer = PixelTokenizer(PixelTokenizerConfig(codebook_size=4))
    greys = torch.tensor([-1.0, 0.5, 0.0, 0.6])
    tokenizer.palette.copy_(greys[:, None].expand(4, 3))
    return Codebook(tokenizer, CPU)


def test_a_picture_is_encoded_as_the_tokenizer_does(codebook):
    picture = noise(12, 8)
    encoded = codebook.encode(picture)
    codes = codebook.tokenizer.encode(from_pil(picture)[None])
    assert torch.equal(encoded.codes, codes[0])
    assert encoded.picture.tobytes() == picture.tobytes()
    assert encoded.reconstruction.tobytes() == to_pil(codebook.tokenizer.decode(codes)[0]).tobytes()


def test_a_picture_is_cropped_to_whole_codes_around_its_middle(codebook):
    picture = noise(15, 9)
    encoded = codebook.encode(picture)
    assert tuple(encoded.codes.shape) == (4, 7)
    assert encoded.picture.tobytes() == picture.crop((0, 0, 14, 8)).tobytes()


def test_a_picture_without_a_whole_code_is_refused(codebook):
    with pytest.raises(InputError, match=r"1x30 pixels, less than the 2x2 of a code"):
        codebook.encode(noise(30, 1))


def test_exchanged_codes_are_decoded(codebook):
    codes = codebook.encode(noise(8, 8)).codes
    codes[1, 2] = 15
    decoded = codebook.decode(codes.tolist())
    assert decoded.tobytes() == to_pil(codebook.tokenizer.decode(codes[None])[0]).tobytes()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (None, "list of lists"),
        ([1, 2], "list of lists"),
        ([], "one length"),
        ([[]], "one length"),
        ([[1, 2], [3]], "one length"),
        ([[1, 16]], "from 0 to 15, got 16"),
        ([[1, -1]], "from 0 to 15, got -1"),
        ([[1, "2"]], "got '2'"),
        ([[1, 2.0]], r"got 2\.0"),
        ([[True]], "got True"),
        ([[10**40]], "got 1000"),
        ([[0] * (MOST_CODES + 1)], "16,384 in all"),
    ],
)
def test_other_grids_are_refused(codebook, rows, words):
    with pytest.raises(InputError, match=words):
        codebook.decode(rows)


def test_swatches_are_the_codes_decoded_alone_and_only_once(codebook, monkeypatch):
    images = torch.cat(list(decode_alone(codebook.tokenizer, torch.arange(16))))
    tiles = codebook.swatches([3, 9], job())
    for code in (3, 9):
        expected = to_pil(images[code]).resize((SWATCH_PX, SWATCH_PX), Image.Resampling.NEAREST)
        assert tiles[code].tobytes() == expected.tobytes()
    monkeypatch.setattr(codebook.tokenizer, "decode", lambda codes: pytest.fail("decoded twice"))
    assert codebook.swatches([9, 3], job()) == tiles


def test_swatches_come_as_many_as_a_moment_allows(codebook, monkeypatch):
    monkeypatch.setattr(module, "SWATCH_SECONDS", -1)
    monkeypatch.setattr(module, "DECODED_AT_ONCE", 3)
    wanted = [5, 4, 3, 2, 1, 0]
    assert list(codebook.swatches(wanted, job())) == [5, 4, 3]
    found = codebook.swatches(wanted, job())
    assert list(found) == wanted
    images = torch.cat(list(decode_alone(codebook.tokenizer, torch.arange(6))))
    for code in wanted:
        expected = to_pil(images[code]).resize((SWATCH_PX, SWATCH_PX), Image.Resampling.NEAREST)
        assert found[code].tobytes() == expected.tobytes()


def test_pieces_of_swatches_keep_their_codes(codebook, monkeypatch):
    whole = codebook.swatches([*range(16)], job())
    monkeypatch.setattr(module, "DECODED_AT_ONCE", 3)
    assert Codebook(codebook.tokenizer, CPU).swatches([*range(16)], job()) == whole


def test_swatches_that_nobody_wants_any_more_end(codebook):
    told = []
    given_up = Job(
        lambda job: job.cancelled.set() or codebook.swatches([1], job),
        lambda event, data: told.append(event),
    )
    given_up.run()
    assert told == ["started", "cancelled"]


@pytest.mark.parametrize("codes", [None, [], 3, [0] * 513])
def test_other_lists_of_codes_are_refused(codebook, codes):
    with pytest.raises(InputError, match="a list of 1 to 512 numbers"):
        codebook.swatches(codes, job())


def test_codes_by_likeness_of_colours(palette):
    assert palette.by_likeness(1) == [1, 3, 2, 0]
    assert palette.by_likeness(0) == [0, 2, 1, 3]


def test_codes_by_likeness_of_their_vectors(codebook):
    vectors = codebook.tokenizer.quantizer.embed(torch.arange(16)[None, None])[0, :, 0].T
    expected = torch.cdist(vectors, vectors[5:6])[:, 0].argsort()
    assert codebook.by_likeness(5) == expected.tolist()


def test_a_code_comes_before_its_equals(palette):
    palette.tokenizer.palette.fill_(0.0)
    assert palette.by_likeness(2) == [2, 0, 1, 3]


@pytest.mark.parametrize("code", [-1, 4])
def test_unknown_codes_are_refused(palette, code):
    for asked in (palette.by_likeness, lambda code: palette.swatches([code], job())):
        with pytest.raises(InputError, match="from 0 to 3"):
            asked(code)


def test_a_palette_shows_its_colours(palette):
    grey = palette.swatches([0], job())[0].getpixel((0, 0))
    assert grey == (0, 0, 0)
    assert palette.longest_px == 128


def test_a_codebook_that_no_page_can_show_whole_is_refused(tmp_path):
    tokenizer = PixelTokenizer(PixelTokenizerConfig(codebook_size=MOST_CODES + 1))
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="has 16,385 codes; at most 16,384"):
        Codebook.load(tmp_path, CPU)
    assert [*Codebook(tokenizer, CPU).swatches([MOST_CODES], job())] == [MOST_CODES]


def test_a_strip_has_pictures_side_by_side():
    whole = strip([Image.new("RGB", (2, 2), "red"), Image.new("RGB", (2, 2), "lime")])
    assert (whole.size, whole.getpixel((1, 0)), whole.getpixel((2, 0))) == (
        (4, 2),
        (255, 0, 0),
        (0, 255, 0),
    )

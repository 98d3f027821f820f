import pytest
import torch

from smalti.config import InputError
from smalti.tokenizer.config import PixelTokenizerConfig
from smalti.tokenizer.load import load_tokenizer
from smalti.tokenizer.pixels import PixelTokenizer

COLOURS = torch.tensor([[-1.0, -1, -1], [1, 1, 1], [1, -1, -1]])


@pytest.fixture
def tokenizer() -> PixelTokenizer:
    pixels = COLOURS.repeat(50, 1)
    return PixelTokenizer.learn(pixels, 3, 5, torch.Generator().manual_seed(0))


def test_colours_of_the_palette_are_kept_exactly(tokenizer):
    images = COLOURS.T.reshape(1, 3, 1, 3)
    assert torch.equal(tokenizer.reconstruct(images), images)


def test_other_colours_become_the_nearest(tokenizer):
    images = torch.tensor([0.9, -0.4, -0.8]).reshape(1, 3, 1, 1)
    assert tokenizer.decode(tokenizer.encode(images)).flatten().tolist() == [1, -1, -1]


def test_there_is_a_code_for_each_pixel(tokenizer):
    codes = tokenizer.encode(torch.rand(2, 3, 5, 7) * 2 - 1)
    assert codes.shape == (2, 5, 7)
    assert codes.dtype == torch.int64


def test_a_palette_comes_back_from_disk(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path / "model")
    loaded = load_tokenizer(tmp_path / "model")
    assert isinstance(loaded, PixelTokenizer)
    assert torch.equal(loaded.palette, tokenizer.palette)


def test_more_colours_than_the_pixels_have_are_refused():
    with pytest.raises(InputError, match="codebook-size 4 is more than the 3 different colours"):
        PixelTokenizer.learn(COLOURS.repeat(9, 1), 4, 5, torch.Generator())


def test_codes_outside_the_palette_are_refused(tokenizer):
    with pytest.raises(InputError, match=r"codes must be in \[0, 3\)"):
        tokenizer.decode(torch.tensor([[[3]]]))


def test_an_empty_palette_has_the_configs_size():
    assert PixelTokenizer(PixelTokenizerConfig(codebook_size=7)).palette.shape == (7, 3)

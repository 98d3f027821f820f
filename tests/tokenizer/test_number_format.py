"""Models in narrower number formats: the codebook stays as it is, and so do the codes."""

import copy

import pytest
import torch

from smalti.compute import number_format
from smalti.config import InputError
from smalti.content import DepthContent, LabelsContent, RGBContent
from smalti.tokenizer.config import PixelTokenizerConfig, VQGANConfig
from smalti.tokenizer.pixels import PixelTokenizer
from smalti.tokenizer.vqgan import VQGAN

NARROW = [torch.bfloat16, torch.float16]
KINDS = ("vector", "ema", "gumbel", "fsq", "lfq", "simvq", "ibq")


def vqgan_of(kind="vector", content=None) -> VQGAN:
    config = VQGANConfig(
        content=content or RGBContent(),
        channels=16,
        norm_groups=4,
        channel_multipliers=(1, 1),
        code_dim=8,
        codebook_size=64,
        quantizer={"kind": kind},
    )
    return VQGAN(config).eval()


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_latent_has_the_same_codes(kind, dtype):
    vqgan = vqgan_of(kind)
    narrow = copy.deepcopy(vqgan).to(dtype)
    assert narrow.dtype == dtype
    for name, weight in vqgan.quantizer.state_dict().items():
        assert torch.equal(narrow.quantizer.state_dict()[name], weight)
    latent = torch.randn(2, 8, 6, 6).to(dtype)
    assert torch.equal(narrow.quantizer.encode(latent), vqgan.quantizer.encode(latent.float()))


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("content", [RGBContent(), DepthContent(), LabelsContent(classes=3)])
def test_images_and_codes_keep_their_form(content, dtype):
    vqgan = vqgan_of(content=content)
    narrow = copy.deepcopy(vqgan).to(dtype)
    is_map = content.kind == "labels"
    channels = () if is_map else (content.channels,)
    images = torch.randint(3, (2, 12, 16)) if is_map else torch.rand(2, *channels, 12, 16) * 2 - 1
    codes = narrow.encode(images)
    assert (codes.dtype, codes.shape) == (torch.int64, (2, 6, 8))
    assert (codes == vqgan.encode(images)).float().mean() > 0.9
    decoded, expected = narrow.decode(codes), vqgan.decode(codes)
    assert (decoded.dtype, decoded.shape) == (expected.dtype, expected.shape)
    if not is_map:
        torch.testing.assert_close(decoded, expected, rtol=0, atol=0.1)
        torch.testing.assert_close(narrow.decode_in_tiles(codes, 3), decoded, rtol=0, atol=0.1)
    assert narrow.encode_in_tiles(images, 3).shape == codes.shape


def test_a_palette_stays_in_float32():
    pixels = PixelTokenizer(PixelTokenizerConfig(codebook_size=4)).to(torch.bfloat16)
    assert pixels.palette.dtype == torch.float32
    assert pixels.encode(torch.zeros(1, 3, 2, 2)).shape == (1, 2, 2)


def test_wider_formats_are_taken_by_the_codebook_too():
    assert vqgan_of().double().quantizer.codebook.weight.dtype == torch.float64


@pytest.mark.parametrize("dtype", ["bfloat16", torch.bfloat16])
def test_a_model_is_loaded_in_a_number_format(tmp_path, dtype):
    vqgan_of().save_pretrained(tmp_path / "model")
    vqgan = VQGAN.from_pretrained(tmp_path / "model", dtype=dtype)
    assert (vqgan.dtype, vqgan.device) == (torch.bfloat16, torch.device("cpu"))
    vqgan.save_pretrained(tmp_path / "narrow")
    assert VQGAN.from_pretrained(tmp_path / "narrow").dtype == torch.float32


@pytest.mark.parametrize("dtype", ["int8", torch.int8, torch.float64])
def test_other_number_formats_are_refused(dtype):
    with pytest.raises(InputError, match="allowed are float32, bfloat16, float16"):
        number_format(dtype)

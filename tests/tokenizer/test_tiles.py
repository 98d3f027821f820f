"""Decoding and encoding in tiles give what they give whole, and hold no large map."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from smalti.config import InputError
from smalti.content import DepthContent, EdgesContent, LabelsContent, RGBContent
from smalti.content_images import content_images
from smalti.tokenizer.blocks import NonLocalAttention
from smalti.tokenizer.config import PixelTokenizerConfig, VQGANConfig
from smalti.tokenizer.pixels import PixelTokenizer
from smalti.tokenizer.tiles import Box, decoded_tiles, encoded_in_tiles
from smalti.tokenizer.vqgan import VQGAN

CONTENTS = [RGBContent(), DepthContent(), EdgesContent(), LabelsContent(classes=5)]
UPPER, FULL, NONE = (1,), (0, 2), ()


def vqgan_of(**options) -> VQGAN:
    """Weights are noise, so that no residual branch is zero and no norm trivial."""
    shape = {"channels": 8, "channel_multipliers": (1, 2, 2), "norm_groups": 4}
    config = VQGANConfig(**shape | {"code_dim": 8, "codebook_size": 16} | options)
    vqgan = VQGAN(config).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in (*vqgan.decoder.parameters(), *vqgan.encoder.parameters()):
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = (
            1 + 0.3 * noise if parameter.ndim == 1 else noise / parameter[0].numel() ** 0.5
        )
    # A mean far from zero is the hard case for a variance that is summed up.
    for part in (vqgan.encoder, vqgan.decoder):
        torch.nn.init.constant_(part.conv_in.bias, 20.0)
    return vqgan


@pytest.fixture(scope="module")
def vqgan() -> VQGAN:
    return vqgan_of()


def codes_of(height: int, width: int, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(height * width)
    return torch.randint(16, (batch, height, width), generator=generator)


def outputs_in_tiles(vqgan: VQGAN, codes: Tensor, tile: int) -> Tensor:
    """Outputs before they are clipped to images."""
    with torch.no_grad():
        z_q = vqgan.decoder_input(codes)
        outputs = torch.full_like(vqgan.decoder(z_q), torch.nan)
        for box, part in decoded_tiles(vqgan.decoder, z_q, tile):
            assert box.cut(outputs).isnan().all()
            box.cut(outputs).copy_(part)
    return outputs


def assert_equals_whole(vqgan: VQGAN, codes: Tensor, tile: int) -> None:
    expected = vqgan.outputs(codes)
    assert expected.std() > 0.1
    torch.testing.assert_close(outputs_in_tiles(vqgan, codes, tile), expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=12)
@given(height=st.integers(1, 11), width=st.integers(1, 11), tile=st.integers(1, 15))
def test_any_grid_in_tiles_of_any_size(vqgan, height, width, tile):
    assert_equals_whole(vqgan, codes_of(height, width), tile)


@pytest.mark.parametrize("attention_levels", [None, UPPER, FULL, NONE])
@pytest.mark.parametrize("middle_attention", [True, False])
def test_non_local_blocks_at_any_level(attention_levels, middle_attention):
    vqgan = vqgan_of(attention_levels=attention_levels, middle_attention=middle_attention)
    assert_equals_whole(vqgan, codes_of(13, 7), 4)


@pytest.mark.parametrize("size", [(13, 1), (1, 13)])
@pytest.mark.parametrize(
    "options",
    [
        {"channel_multipliers": (1, 1)},
        {"channel_multipliers": (1, 1, 1, 1, 2)},
        {"channel_multipliers": (1, 1, 1, 1), "residual_blocks": 2},
        {"residual_blocks": 3},
        {"unit_range": True},
        {"latent_channels": 12},
    ],
    ids=str,
)
def test_margins_are_wide_enough(options, size):
    """In double precision, where the faintest influence from beyond a margin shows."""
    vqgan, codes = vqgan_of(**options).double(), codes_of(*size)
    torch.testing.assert_close(
        outputs_in_tiles(vqgan, codes, 2), vqgan.outputs(codes), rtol=1e-10, atol=1e-10
    )


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: content.kind)
def test_images_of_each_content(content):
    vqgan, codes = vqgan_of(content=content), codes_of(13, 7, batch=2)
    images, whole = vqgan.decode_in_tiles(codes, tile=4), vqgan.decode(codes)
    assert images.dtype == whole.dtype
    if content.kind == "labels":
        assert len(whole.unique()) > 2
        assert (images == whole).float().mean() > 0.999  # rounding may settle a tie
    else:
        torch.testing.assert_close(images, whole, rtol=1e-4, atol=1e-4)


def test_images_of_a_batch_do_not_share_statistics(vqgan):
    codes = codes_of(5, 6, batch=3)
    alone = [vqgan.decode_in_tiles(codes[i : i + 1], tile=4) for i in range(3)]
    torch.testing.assert_close(
        vqgan.decode_in_tiles(codes, tile=4), torch.cat(alone), rtol=1e-4, atol=1e-4
    )


def test_one_tile_is_decoding(vqgan):
    codes = codes_of(5, 6)
    assert torch.equal(vqgan.decode_in_tiles(codes), vqgan.decode(codes))


@pytest.mark.parametrize("autocast", [True, False])
def test_bfloat16_rounds_as_decoding_whole_does(autocast):
    vqgan, codes = vqgan_of(), codes_of(5, 6)
    exact = vqgan.outputs(codes)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        rounding = vqgan if autocast else vqgan.bfloat16()
        whole, tiled = rounding.outputs(codes), outputs_in_tiles(rounding, codes, 3)
    assert tiled.dtype == whole.dtype == torch.bfloat16
    assert (tiled - exact).square().mean() < 1.5 * (whole - exact).square().mean()


def test_the_model_stays_as_it_was(vqgan):
    before = {name: value.clone() for name, value in vqgan.state_dict().items()}
    vqgan.train()
    images = vqgan.decode_in_tiles(codes_of(5, 6), tile=3)
    assert vqgan.decoder.training
    vqgan.eval()
    assert not images.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in vqgan.state_dict().items())


class LargestMap(TorchDispatchMode):
    """Counts the elements of the largest tensor that is made."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        made = result if isinstance(result, tuple | list) else [result]
        # What shares memory with an argument was there before.
        old = {part.untyped_storage().data_ptr() for part in args if isinstance(part, Tensor)}
        for part in made:
            if isinstance(part, Tensor) and part.untyped_storage().data_ptr() not in old:
                self.elements = max(self.elements, part.numel())
        return result


def test_maps_do_not_grow_with_the_image(vqgan):
    def largest(codes):
        with LargestMap() as found, torch.no_grad():
            z_q = vqgan.decoder_input(codes)
            for _ in decoded_tiles(vqgan.decoder, z_q, 2):
                pass
        return found.elements

    assert largest(codes_of(2, 16)) == largest(codes_of(2, 32))


# Encoding


def images_of(vqgan: VQGAN, height: int, width: int, batch: int = 1) -> Tensor:
    """Random images of a size in codes."""
    generator = torch.Generator().manual_seed(height * width)
    f = vqgan.downsampling_factor
    blank = content_images(vqgan.content).blank(batch, f * height, f * width)
    if isinstance(vqgan.content, LabelsContent):
        return torch.randint(vqgan.content.classes, blank.shape, generator=generator)
    return 2 * torch.rand(blank.shape, generator=generator) - 1


def assert_encodes_as_whole(vqgan: VQGAN, images: Tensor, tile: int, error: float = 1e-4) -> None:
    """Latents are compared: codes could hide a difference, or make a large one of a small one."""
    with torch.no_grad():
        whole = vqgan.encoder(content_images(vqgan.content).to_input(images))
        tile_px = tile * vqgan.downsampling_factor
        tiled = encoded_in_tiles(
            vqgan.encoder, images, content_images(vqgan.content).to_input, tile_px
        )
    assert whole.std() > 0.1
    torch.testing.assert_close(tiled, whole, rtol=error, atol=error)


@settings(max_examples=12)
@given(height=st.integers(1, 9), width=st.integers(1, 9), tile=st.integers(1, 12))
def test_any_image_is_encoded_in_tiles_of_any_size(vqgan, height, width, tile):
    assert_encodes_as_whole(vqgan, images_of(vqgan, height, width), tile)


@pytest.mark.parametrize("attention_levels", [None, UPPER, FULL, NONE])
@pytest.mark.parametrize("middle_attention", [True, False])
def test_non_local_blocks_of_the_encoder_at_any_level(attention_levels, middle_attention):
    vqgan = vqgan_of(attention_levels=attention_levels, middle_attention=middle_attention)
    assert_encodes_as_whole(vqgan, images_of(vqgan, 9, 5), 2)


@pytest.mark.parametrize("size", [(9, 1), (1, 9)])
@pytest.mark.parametrize(
    "options",
    [
        {"channel_multipliers": (1, 1)},
        {"channel_multipliers": (1, 1, 1, 1, 2)},
        {"residual_blocks": 3},
        {"unit_range": True},
    ],
    ids=str,
)
def test_margins_of_encoding_are_wide_enough(options, size):
    """In double precision, where the faintest influence from beyond a margin shows."""
    vqgan = vqgan_of(**options).double()
    assert_encodes_as_whole(vqgan, images_of(vqgan, *size).double(), 2, error=1e-10)


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: content.kind)
def test_codes_of_each_content(content):
    vqgan = vqgan_of(content=content)
    for bias in (vqgan.encoder.norm_out.bias, vqgan.encoder.conv_out.bias):
        torch.nn.init.zeros_(bias)  # else all cells have about the same code
    images = images_of(vqgan, 9, 5, batch=2)
    codes, whole = vqgan.encode_in_tiles(images, tile=2), vqgan.encode(images)
    assert len(whole.unique()) > 2
    assert (codes == whole).float().mean() > 0.97  # rounding may settle a tie


def test_no_map_of_encoding_grows_with_the_image():
    """Labels would be the largest, where a map of them became channels at once."""
    vqgan = vqgan_of(content=LabelsContent(classes=40))

    def largest(images):
        with LargestMap() as found, torch.no_grad():
            encoded_in_tiles(vqgan.encoder, images, content_images(vqgan.content).to_input, 8)
        return found.elements

    assert largest(images_of(vqgan, 2, 16)) == largest(images_of(vqgan, 2, 32))


def test_one_tile_is_encoding(vqgan):
    images = images_of(vqgan, 5, 6)
    assert torch.equal(vqgan.encode_in_tiles(images), vqgan.encode(images))


@pytest.mark.parametrize("size", [(34, 32), (32, 33)])
def test_images_that_do_not_divide_are_not_encoded_in_tiles(vqgan, size):
    with pytest.raises(InputError, match="multiples of 4"):
        vqgan.encode_in_tiles(torch.zeros(1, 3, *size), tile=2)


@pytest.mark.parametrize("height", [16, 24])
def test_attention_makes_no_matrix_of_all_pairs(height):
    attention = NonLocalAttention(8, norm_groups=4)
    with LargestMap() as found, torch.no_grad():
        attention(torch.randn(1, 8, height, height))
    assert found.elements <= 8 * height**2


@pytest.mark.parametrize("tile", [0, -4])
def test_tiles_without_codes_are_refused(vqgan, tile):
    for tokenizer in (vqgan, PixelTokenizer(PixelTokenizerConfig(codebook_size=16))):
        with pytest.raises(InputError, match=f"tile must be at least 1 code, got {tile}"):
            tokenizer.decode_in_tiles(codes_of(2, 2), tile)
        with pytest.raises(InputError, match=f"tile must be at least 1 code, got {tile}"):
            tokenizer.encode_in_tiles(torch.zeros(1, 3, 8, 8), tile)


def test_codes_outside_the_codebook_are_refused(vqgan):
    with pytest.raises(InputError, match=r"codes must be in \[0, 16\)"):
        vqgan.decode_in_tiles(torch.full((1, 5, 5), 16), tile=2)


def test_pixels_are_decoded_as_ever():
    tokenizer = PixelTokenizer(PixelTokenizerConfig(codebook_size=16))
    torch.nn.init.uniform_(tokenizer.palette)
    codes = codes_of(5, 7, batch=2)
    assert torch.equal(tokenizer.decode_in_tiles(codes, 2), tokenizer.decode(codes))
    assert torch.equal(tokenizer.encode_in_tiles(tokenizer.decode(codes), 2), codes)


def test_a_box_is_widened_within_the_map():
    assert Box(0, 4, 4, 7).widened(2, Box(0, 9, 0, 7)) == Box(0, 6, 2, 7)

"""The two networks of Table 2: sizes, parameter counts and names."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor, nn

from smalti.content import LabelsContent
from smalti.tokenizer.blocks import Downsample, NonLocalAttention, Upsample
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.decoder import Decoder
from smalti.tokenizer.encoder import Encoder
from smalti.tokenizer.vqgan import VQGAN
from smalti.weights import count_parameters

F16 = VQGANConfig(
    channels=128,
    channel_multipliers=(1, 1, 2, 2, 4),
    residual_blocks=2,
    norm_groups=32,
    code_dim=256,
    codebook_size=1024,
)
KEYS_FILE = Path(__file__).parent / "vqgan_keys.json"


@pytest.fixture(scope="module")
def f16() -> VQGAN:
    """The paper's f = 16 model, without memory for its weights."""
    with torch.device("meta"):
        return VQGAN(F16)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3)])
def test_encoder_divides_by_f_and_decoder_multiplies(steps, height, width):
    config = VQGANConfig(channel_multipliers=(1,) * (steps + 1), code_dim=6)
    factor = 2**steps
    with torch.device("meta"):
        z = Encoder(config)(torch.empty(2, 3, height * factor, width * factor))
        images = Decoder(config)(z)
    assert z.shape == (2, 6, height, width)
    assert images.shape == (2, 3, height * factor, width * factor)


@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    multipliers=st.lists(st.integers(1, 3), min_size=2, max_size=4),
    blocks=st.integers(1, 3),
)
@settings(max_examples=15)
def test_any_grid_survives_both_networks(height, width, multipliers, blocks):
    factor = 2 ** (len(multipliers) - 1)
    config = VQGANConfig(channel_multipliers=tuple(multipliers), residual_blocks=blocks, code_dim=5)
    images = torch.empty(1, 3, height * factor, width * factor, device="meta")
    with torch.device("meta"):
        assert Decoder(config)(Encoder(config)(images)).shape == images.shape


def test_parameter_counts_of_the_f16_model(f16):
    assert count_parameters(f16.encoder) == 29_298_176
    assert count_parameters(f16.decoder) == 42_449_795


def test_names_and_shapes_of_the_weights_are_a_contract(f16):
    """Models on people's disks have these names: a change here needs a migration."""
    found = {name: list(tensor.shape) for name, tensor in f16.state_dict().items()}
    assert found == json.loads(KEYS_FILE.read_text(encoding="utf-8"))


def non_local_blocks(vqgan: VQGAN) -> set[str]:
    return {
        name
        for part in ("encoder", "decoder")
        for name, module in vqgan.get_submodule(part).named_modules(prefix=part)
        if isinstance(module, NonLocalAttention)
    }


def test_non_local_blocks_stand_at_the_lowest_resolution_and_in_the_middle(f16):
    assert non_local_blocks(f16) == {
        "encoder.levels.4.attentions.0",
        "encoder.levels.4.attentions.1",
        "encoder.middle.attention",
        "decoder.levels.0.attentions.0",
        "decoder.levels.0.attentions.1",
        "decoder.levels.0.attentions.2",
        "decoder.middle.attention",
    }


def test_non_local_blocks_stand_where_asked():
    """Levels are counted from full resolution in both networks; the decoder runs the last first."""
    config = VQGANConfig(
        channel_multipliers=(1, 1, 1), attention_levels=(0, 1), middle_attention=False
    )
    with torch.device("meta"):
        assert non_local_blocks(VQGAN(config)) == {
            "encoder.levels.0.attentions.0",
            "encoder.levels.1.attentions.0",
            "decoder.levels.1.attentions.0",
            "decoder.levels.1.attentions.1",
            "decoder.levels.2.attentions.0",
            "decoder.levels.2.attentions.1",
        }
        no_attention = config.model_copy(update={"attention_levels": ()})
        assert non_local_blocks(VQGAN(no_attention)) == set()


@pytest.mark.parametrize("level", [-1, 3])
def test_attention_at_a_level_that_does_not_exist_is_refused(level):
    with pytest.raises(ValidationError, match=rf"attention-levels \[{level}\] must be from 0 to 2"):
        VQGANConfig(channel_multipliers=(1, 1, 1), attention_levels=(level,))


def test_pixels_in_unit_range_are_not_for_label_maps():
    with pytest.raises(ValidationError, match="unit-range must be false for label maps"):
        VQGANConfig(content=LabelsContent(classes=3), unit_range=True)


def test_latent_channels_are_between_the_networks_and_the_codes():
    config = VQGANConfig(code_dim=4, latent_channels=16)
    with torch.device("meta"):
        vqgan = VQGAN(config)
        assert vqgan.encoder(torch.empty(1, 3, 16, 16)).shape == (1, 16, 2, 2)
        assert vqgan.latent(torch.empty(1, 3, 16, 16)).shape == (1, 4, 2, 2)
        assert vqgan.from_code(torch.empty(1, 4, 2, 2)).shape == (1, 16, 2, 2)


def test_downsampling_pads_right_and_bottom_only():
    """The first output sees pixels 0 to 2; the last, the two last pixels and the padding."""
    down = Downsample(1)
    nn.init.ones_(down.conv.weight)
    nn.init.zeros_(down.conv.bias)
    image = torch.zeros(1, 1, 4, 4)
    image[0, 0, 0, 0] = 1.0
    image[0, 0, 3, 3] = 10.0
    assert down(image).flatten().tolist() == [1.0, 0.0, 0.0, 10.0]


def repeat_and_convolve(upsample: Upsample, features: Tensor) -> Tensor:
    """Up-sampling as it is defined."""
    return upsample.conv(F.interpolate(features, scale_factor=2.0, mode="nearest"))


def results_and_gradients(upsample: Upsample, function, features: Tensor) -> list[Tensor]:
    """The result, and the gradients of features, weight and bias for an uneven gradient of it."""
    result = function(features)
    steps = torch.arange(1.0, result.numel() + 1, dtype=result.dtype).reshape(result.shape)
    inputs = (features, upsample.conv.weight, upsample.conv.bias)
    return [result, *torch.autograd.grad(result, inputs, (0.1 * steps).sin())]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 4), (5, 3)])
def test_upsampling_repeats_pixels_and_convolves(height, width, generator):
    upsample = Upsample(3).double()
    nn.init.normal_(upsample.conv.bias)
    shape = (2, 3, height, width)
    features = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    found = results_and_gradients(upsample, upsample, features)
    defined = results_and_gradients(
        upsample, lambda features: repeat_and_convolve(upsample, features), features
    )
    torch.testing.assert_close(found, defined, rtol=1e-12, atol=1e-12)


def test_upsampling_in_bfloat16_is_near_that_in_float32(generator):
    upsample = Upsample(8)
    features = torch.randn(2, 8, 4, 4, generator=generator)
    with torch.autocast("cpu", torch.bfloat16):
        found = upsample(features)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(
        found.float(), repeat_and_convolve(upsample, features), rtol=2e-2, atol=2e-2
    )


def test_attention_mixes_all_positions(generator):
    attention = NonLocalAttention(32, norm_groups=8)
    features = torch.randn(1, 32, 3, 4, generator=generator, requires_grad=True)
    attention(features)[0, :, 0, 0].sum().backward()
    assert (features.grad.abs().sum(1) > 0).all()


def test_attention_equals_its_definition(generator):
    attention = NonLocalAttention(32, norm_groups=8)
    features = torch.randn(2, 32, 3, 4, generator=generator)
    normed = attention.norm(features)
    query, key, value = (
        part(normed).flatten(2) for part in (attention.query, attention.key, attention.value)
    )
    weights = torch.einsum("bci,bcj->bij", query, key).div(32**0.5).softmax(-1)
    mixed = torch.einsum("bij,bcj->bci", weights, value).view_as(features)
    torch.testing.assert_close(
        attention(features), features + attention.project(mixed), rtol=1e-4, atol=1e-5
    )

"""The whole tokenizer: images and codes of any size, on disk and back."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from smalti.config import InputError
from smalti.tokenizer import convolutional
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN

TINY = VQGANConfig(
    channels=32, channel_multipliers=(1, 1, 1), residual_blocks=1, code_dim=8, codebook_size=16
)


@pytest.fixture(scope="module")
def vqgan() -> VQGAN:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return VQGAN(TINY).eval()


@pytest.fixture
def images(generator) -> torch.Tensor:
    return torch.rand(2, 3, 8, 12, generator=generator) * 2 - 1


# Images and codes


def test_codes_and_images(vqgan, images):
    codes = vqgan.encode(images)
    assert codes.shape == (2, 2, 3)
    assert codes.dtype == torch.int64
    decoded = vqgan.decode(codes)
    assert decoded.shape == images.shape
    assert decoded.abs().max() <= 1


def test_neither_direction_keeps_a_graph(vqgan, images):
    codes = vqgan.encode(images)
    assert not codes.requires_grad
    assert not vqgan.decode(codes).requires_grad


def test_forward_is_encode_then_decode(vqgan, images):
    with torch.no_grad():
        reconstructions, quantized, features = vqgan(images)
    codes = vqgan.encode(images)
    assert torch.equal(quantized.codes, codes)
    torch.testing.assert_close(
        reconstructions.clamp(-1, 1), vqgan.decode(codes), rtol=1e-4, atol=1e-5
    )
    assert torch.equal(vqgan.decoder.conv_out(features), reconstructions)


def test_codes_of_an_image_do_not_depend_on_its_batch(vqgan, images):
    assert torch.equal(vqgan.encode(images[:1]), vqgan.encode(images)[:1])


def test_decoded_images_are_clipped(vqgan, images):
    loud = VQGAN(TINY).eval()
    loud.load_state_dict(vqgan.state_dict())
    torch.nn.init.constant_(loud.decoder.conv_out.bias, 5.0)
    assert (loud.decode(loud.encode(images)) == 1).all()


@pytest.mark.parametrize("size", [(8, 10), (10, 8), (3, 3)])
def test_size_that_does_not_divide_is_refused(vqgan, size):
    height, width = size
    with pytest.raises(InputError, match=f"{height}x{width} pixels do not divide.*multiples of 4"):
        vqgan.encode(torch.zeros(1, 3, *size))


@given(height=st.integers(1, 21), width=st.integers(1, 21))
@settings(max_examples=15)
def test_any_size_is_reconstructed(vqgan, height, width):
    images = torch.zeros(1, 3, height, width)
    assert vqgan.reconstruct(images).shape == images.shape


def test_padding_does_not_change_what_needs_none(vqgan, images):
    assert torch.equal(vqgan.reconstruct(images), vqgan.decode(vqgan.encode(images)))


def test_padding_repeats_the_last_row_and_column(vqgan, images):
    cut = images[..., :7, :11]
    padded = torch.cat([cut, cut[..., -1:, :]], dim=-2)
    padded = torch.cat([padded, padded[..., -1:]], dim=-1)
    assert torch.equal(vqgan.reconstruct(cut), vqgan.reconstruct(padded)[..., :7, :11])


@pytest.mark.parametrize("code", [-1, 16])
def test_code_outside_the_codebook_is_refused(vqgan, code):
    with pytest.raises(InputError, match=rf"codes must be in \[0, 16\), got .*{code}"):
        vqgan.decode(torch.tensor([[[0, code]]]))


# The config


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"channels": 36}, "channels 36 is not a multiple of norm-groups 8"),
        ({"channel_multipliers": (1,)}, "at least 2"),
        ({"channel_multipliers": (1, 0)}, "every multiplier must be at least 1"),
        ({"codebook_size": 1}, "greater than or equal to 2"),
        ({"chanels": 32}, "Extra inputs"),
        ({"quantizer": {"kind": "vektor"}}, "'vector'"),
    ],
)
def test_wrong_config_says_why(options, reason):
    with pytest.raises(ValidationError, match=reason):
        VQGANConfig.model_validate(options)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_downsampling_factor_follows_from_the_multipliers(steps):
    assert VQGANConfig(channel_multipliers=(1,) * (steps + 1)).downsampling_factor == 2**steps


# On disk


def test_saved_model_gives_the_same_codes_and_images(vqgan, images, tmp_path):
    vqgan.save_pretrained(tmp_path / "model")
    loaded = VQGAN.from_pretrained(tmp_path / "model")
    assert loaded.config == TINY
    assert not loaded.training
    codes = loaded.encode(images)
    assert torch.equal(codes, vqgan.encode(images))
    assert torch.equal(loaded.decode(codes), vqgan.decode(codes))


def one_line(error: pytest.ExceptionInfo[InputError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.fixture
def saved(vqgan, tmp_path):
    folder = tmp_path / "model"
    vqgan.save_pretrained(folder)
    return folder


def edit_config(folder, **changes) -> None:
    path = folder / "config.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    description["config"] |= changes
    path.write_text(json.dumps(description), encoding="utf-8")


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError) as error:
        VQGAN.from_pretrained(tmp_path / "nothing")
    assert one_line(error).startswith(f"{tmp_path / 'nothing'} does not exist; give a model")


def test_model_of_another_kind_is_refused(saved):
    path = saved / "config.json"
    path.write_text(
        path.read_text(encoding="utf-8").replace('"kind": "vqgan"', '"kind": "prior"', 1),
        encoding="utf-8",
    )
    with pytest.raises(InputError) as error:
        VQGAN.from_pretrained(saved)
    assert "holds a prior, but a vqgan is needed" in one_line(error)


def test_unknown_key_is_named(saved):
    edit_config(saved, chanels=64)
    with pytest.raises(InputError) as error:
        VQGAN.from_pretrained(saved)
    assert "config.json: chanels: is not known, got 64" in one_line(error)


def test_weights_cut_short_are_refused(saved):
    weights = saved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError) as error:
        VQGAN.from_pretrained(saved)
    assert "model.safetensors is damaged or cut short" in one_line(error)


def test_missing_weights_are_named(saved):
    (saved / "model.safetensors").unlink()
    with pytest.raises(InputError) as error:
        VQGAN.from_pretrained(saved)
    assert one_line(error) == f"{saved / 'model.safetensors'} is missing"


def test_weights_that_do_not_fit_the_config_are_refused(saved):
    edit_config(saved, codebook_size=32)
    with pytest.raises(InputError) as error:
        VQGAN.from_pretrained(saved)
    assert "do not fit its config" in one_line(error)
    assert "quantizer.codebook.weight" in one_line(error)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kind": "vqgan"}', '{"config": {}}'])
def test_file_that_is_no_config_is_refused(saved, text):
    (saved / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as error:
        VQGAN.from_pretrained(saved)
    assert "config.json is not a model's config" in one_line(error)


def test_every_norm_has_the_groups_asked_for():
    config = VQGANConfig(channels=32, channel_multipliers=(1, 1), norm_groups=4, codebook_size=16)
    norms = [module for module in VQGAN(config).modules() if isinstance(module, nn.GroupNorm)]
    assert {norm.num_groups for norm in norms} == {4}


def test_large_batch_is_encoded_some_images_at_a_time(monkeypatch):
    """Channels last, which a processor's convolutions want; the codes are those of training."""
    vqgan = VQGAN(TINY).eval()
    images = torch.rand(5, 3, 16, 16) * 2 - 1
    monkeypatch.setattr(convolutional, "CACHED_NUMBERS", 2 * 16 * 16 * TINY.channels)
    seen = []
    vqgan.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    codes = vqgan.encode(images)
    assert [len(inputs) for inputs in seen] == [2, 2, 1]
    assert all(inputs.is_contiguous(memory_format=torch.channels_last) for inputs in seen)
    assert torch.equal(codes, vqgan(images).quantized.codes)

"""Quantizers that compare with entries leave as the plain lookup, with equal codes and images.

Axes: D code dimension, d lookup dimension, K codebook size.
"""

import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from smalti.config import InputError
from smalti.interop.plain_lookup import with_plain_lookup
from smalti.interop.tokenizers import EXPORTS, import_model
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.config import (
    EMAQuantizerConfig,
    FSQConfig,
    GumbelQuantizerConfig,
    IBQConfig,
    LFQConfig,
    QuantizerConfig,
    SimVQConfig,
    VectorQuantizerConfig,
)
from smalti.tokenizer.vqgan import VQGAN

CODEBOOK_SIZE = 64
LOOKUPS = {
    "vector, as by default": VQGANConfig().quantizer,
    "vector, projected": VectorQuantizerConfig(lookup_dim=4),
    "vector by direction": VectorQuantizerConfig(l2_normalised=True),
    "ema, as by default": EMAQuantizerConfig(),
    "ema in all dimensions": EMAQuantizerConfig(lookup_dim=None, l2_normalised=False),
    "simvq, as by default": SimVQConfig(),
    "simvq in all dimensions": SimVQConfig(lookup_dim=None, l2_normalised=False),
    "lfq": LFQConfig(),
    "ibq, as by default": IBQConfig(),
    "ibq in all dimensions": IBQConfig(lookup_dim=None),
}
OTHERS = [FSQConfig(levels=(8, 8)), GumbelQuantizerConfig()]


@pytest.fixture(scope="module", autouse=True)
def _quiet():
    """Diffusers advises to install more while it loads."""
    logger = logging.getLogger("diffusers")
    before, logger.level = logger.level, logging.ERROR
    yield
    logger.setLevel(before)


@pytest.fixture(scope="module")
def images():
    return 2 * torch.rand(2, 3, 48, 32, generator=torch.Generator().manual_seed(1)) - 1


def vqgan_with(quantizer: QuantizerConfig) -> VQGAN:
    torch.manual_seed(0)
    vqgan = VQGAN(
        VQGANConfig(
            channels=32,
            channel_multipliers=(1, 2, 2),
            norm_groups=32,
            code_dim=16,
            codebook_size=CODEBOOK_SIZE,
            quantizer=quantizer,
        )
    )
    if isinstance(quantizer, IBQConfig):  # the inner product prefers long entries
        vqgan.quantizer.codebook.weight.data *= torch.linspace(0.3, 1, CODEBOOK_SIZE)[:, None]
    return lively(vqgan)


@torch.no_grad()
def lively(vqgan: VQGAN) -> VQGAN:
    """Every weight away from its start value, so that a forgotten one shows."""
    for parameter in vqgan.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    return vqgan.eval()


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_diffusers_has_the_same_codes_and_images(lookup, images, tmp_path):
    from diffusers import VQModel

    ours = vqgan_with(LOOKUPS[lookup])
    EXPORTS["diffusers"](ours, tmp_path / "out")
    theirs = VQModel.from_pretrained(tmp_path / "out", low_cpu_mem_usage=False).eval()
    with torch.no_grad():
        z = theirs.encode(images).latents
        _, _, (_, _, codes) = theirs.quantize(z)
        reconstructions = theirs.decode(z).sample.clamp(-1, 1)
    assert len(codes.unique()) > CODEBOOK_SIZE / 4
    assert torch.equal(ours.encode(images).flatten(), codes)
    torch.testing.assert_close(ours.reconstruct(images), reconstructions, rtol=0, atol=1e-5)


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_released_form_has_the_same_codes_and_images(lookup, images, tmp_path):
    """Read by our import, which the recorded tensors of the released code pin."""
    ours = vqgan_with(LOOKUPS[lookup])
    EXPORTS["taming"](ours, tmp_path)
    back = import_model(tmp_path / "vqgan.safetensors", tmp_path / "config.yaml").vqgan
    assert back.config.quantizer == VectorQuantizerConfig()
    assert torch.equal(back.encode(images), ours.encode(images))
    torch.testing.assert_close(
        back.reconstruct(images), ours.reconstruct(images), rtol=0, atol=1e-5
    )


@settings(max_examples=25, derandomize=True)  # other draws may have ties within rounding
@given(
    code_dim=st.integers(1, 12),
    lookup_dim=st.none() | st.integers(1, 12),
    inner=st.none() | st.integers(1, 12),
    by_direction=st.booleans(),
    length=st.sampled_from([0.1, 1.0, 30.0]),
    seed=st.integers(0, 2**31),
)
def test_any_dimensions_and_lengths(code_dim, lookup_dim, inner, by_direction, length, seed):
    """Codes of vectors of any length, and what the decoder sees of each code."""
    torch.manual_seed(seed)
    config = VQGANConfig(
        channels=8,
        channel_multipliers=(1, 1),
        code_dim=code_dim,
        latent_channels=inner,
        codebook_size=7,
        quantizer=VectorQuantizerConfig(lookup_dim=lookup_dim, l2_normalised=by_direction),
    )
    ours = lively(VQGAN(config))
    nn.init.normal_(ours.quantizer.codebook.weight, std=3)
    folded_config, weights = with_plain_lookup(ours)
    folded = VQGAN(folded_config).eval()
    folded.load_state_dict(weights)
    outputs = length * torch.randn(1, config.inner_channels, 4, 4)
    codes = torch.arange(7)[None, None]
    with torch.no_grad():
        our_codes, folded_codes = (
            vqgan.quantizer.encode(vqgan.to_code(outputs)) for vqgan in (ours, folded)
        )
        our_latents, folded_latents = (
            vqgan.from_code(vqgan.quantizer.embed(codes)) for vqgan in (ours, folded)
        )
    torch.testing.assert_close(folded_latents, our_latents, rtol=1e-5, atol=1e-5)
    assert folded_config.code_dim == (lookup_dim or code_dim)
    assert torch.equal(folded_codes, our_codes)


@pytest.mark.parametrize("form", EXPORTS)
@pytest.mark.parametrize("quantizer", OTHERS, ids=lambda config: config.kind)
def test_quantizer_that_does_not_compare_with_entries_is_named(quantizer, form, tmp_path):
    words = rf"quantizer is {quantizer.kind}, .*; exported are vector, ema, simvq, lfq and ibq$"
    with pytest.raises(InputError, match=words):
        EXPORTS[form](vqgan_with(quantizer), tmp_path / "out")
    assert not list(tmp_path.iterdir())

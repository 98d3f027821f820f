"""What every quantizer must do; a new one in the registry is tested when it arrives.

Axes: B batch, D code dimension, h/w latent grid, K codebook size.
"""

import copy
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from smalti.tokenizer.quantizers import QUANTIZERS, Quantizer, VectorQuantizerConfig
from smalti.types import Config

CODEBOOK_SIZE = 16
CODE_DIM = 6


class Case(NamedTuple):
    kind: str
    config: Config


CASES = {
    "vector": Case("vector", VectorQuantizerConfig()),
    "vector-l2": Case("vector", VectorQuantizerConfig(l2_normalised=True)),
    "vector-low": Case("vector", VectorQuantizerConfig(lookup_dim=3)),
    "vector-low-l2": Case("vector", VectorQuantizerConfig(lookup_dim=3, l2_normalised=True)),
}


def build(case: Case) -> Quantizer:
    """With entries drawn wide, so that codes are spread."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        quantizer = QUANTIZERS[case.kind](case.config, CODEBOOK_SIZE, CODE_DIM)
        torch.nn.init.normal_(quantizer.codebook.weight)
    return quantizer


@pytest.fixture(params=CASES.values(), ids=CASES)
def quantizer(request) -> Quantizer:
    return build(request.param)


@pytest.fixture
def z(generator) -> Tensor:
    return torch.randn(2, CODE_DIM, 5, 3, generator=generator, requires_grad=True)


def test_every_registered_quantizer_has_a_case():
    assert {case.kind for case in CASES.values()} == set(QUANTIZERS)


def test_shapes_and_dtypes(quantizer, z):
    z_q, codes, codebook_loss, commitment_loss, _ = quantizer(z)
    assert z_q.shape == z.shape
    assert z_q.dtype == torch.float32
    assert codes.shape == (2, 5, 3)
    assert codes.dtype == torch.int64
    assert 0 <= codes.min() <= codes.max() < CODEBOOK_SIZE
    assert codebook_loss.shape == commitment_loss.shape == ()


def test_codes_are_used(quantizer, z):
    assert len(quantizer.encode(z).unique()) > 3


def test_latent_is_the_embedding_of_the_codes(quantizer, z):
    z_q, codes, *_ = quantizer(z)
    torch.testing.assert_close(z_q, quantizer.embed(codes), rtol=1e-5, atol=1e-6)
    assert torch.equal(codes, quantizer.encode(z))


def test_gradient_passes_straight_through(quantizer, z):
    """As if the lookup were not there: through the projections where there are some."""
    quantizer(z).z_q.sum().backward()
    through = z.detach().clone().requires_grad_()
    quantizer.project_out(
        quantizer._normalise(quantizer.project_in(through), dim=1)
    ).sum().backward()
    torch.testing.assert_close(z.grad, through.grad)


def test_codebook_loss_moves_the_codebook_only(quantizer, z):
    quantizer(z).codebook_loss.backward()
    assert z.grad is None
    assert quantizer.codebook.weight.grad.abs().sum() > 0


def test_commitment_loss_moves_the_encoder_only(quantizer, z):
    quantizer(z).commitment_loss.backward()
    assert quantizer.codebook.weight.grad is None
    assert z.grad.abs().sum() > 0


def test_codebook_hears_nothing_of_the_decoder(quantizer, z):
    quantizer(z).z_q.sum().backward()
    assert quantizer.codebook.weight.grad is None


def test_losses_are_equal_before_they_are_weighted(quantizer, z):
    """Both are the mean squared distance; they differ in whom they move."""
    quantized = quantizer(z)
    torch.testing.assert_close(quantized.codebook_loss, quantized.commitment_loss)
    assert quantized.codebook_loss > 0


def test_codes_do_not_depend_on_autocast(quantizer, z):
    exact = quantizer(z)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = quantizer(z)
    assert torch.equal(rough.codes, exact.codes)
    assert torch.equal(rough.codebook_loss, exact.codebook_loss)


def test_half_precision_latents_are_compared_in_float32(quantizer, z):
    rounded = z.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        quantized = quantizer(rounded)
    assert quantized.z_q.dtype == torch.bfloat16
    assert torch.equal(quantized.codes, quantizer.encode(rounded.float()))
    assert quantized.commitment_loss.dtype == torch.float32


def test_evaluation_is_deterministic(quantizer, z):
    quantizer.eval()
    assert torch.equal(quantizer(z).z_q, quantizer(z).z_q)


def test_same_weights_give_the_same_codes(quantizer, z):
    other = copy.deepcopy(quantizer)
    torch.nn.init.zeros_(other.codebook.weight)
    other.load_state_dict(quantizer.state_dict())
    assert torch.equal(other.encode(z), quantizer.encode(z))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_config_survives_json(case):
    assert type(case.config).model_validate_json(case.config.model_dump_json()) == case.config


@pytest.mark.parametrize("shape", [(2, CODE_DIM + 1, 5, 3), (CODE_DIM, 5, 3)])
def test_latent_of_another_shape_is_refused(quantizer, shape):
    with pytest.raises(ValueError, match=r"z must be \(B, 6, h, w\), got"):
        quantizer(torch.zeros(shape))

"""What every quantizer must do; a new one in the registry is tested when it arrives.

Axes: B batch, D code dimension, h/w latent grid, K codebook size.
"""

import copy

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from smalti.runs.cost import forward_cost
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.base import QUANTIZERS, Quantizer
from smalti.tokenizer.quantizers.build import build_quantizer
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

CODEBOOK_SIZE = 16
CODE_DIM = 6
LARGE = 16384

CASES = {
    "vector": VectorQuantizerConfig(),
    "vector-l2": VectorQuantizerConfig(l2_normalised=True),
    "vector-low": VectorQuantizerConfig(lookup_dim=3),
    "vector-low-l2": VectorQuantizerConfig(lookup_dim=3, l2_normalised=True),
    "vector-rotation": VectorQuantizerConfig(gradient="rotation"),
    "ema": EMAQuantizerConfig(lookup_dim=None, l2_normalised=False),
    "ema-low-l2": EMAQuantizerConfig(lookup_dim=3),
    "gumbel": GumbelQuantizerConfig(),
    "gumbel-annealed": GumbelQuantizerConfig(final_temperature=0.1, anneal_steps=2),
    "fsq": FSQConfig(),
    "fsq-levels": FSQConfig(levels=(2, 8)),
    "lfq": LFQConfig(),
    "simvq": SimVQConfig(lookup_dim=None, l2_normalised=False),
    "simvq-low-l2": SimVQConfig(lookup_dim=3),
    "ibq": IBQConfig(),
    "ibq-all-dimensions": IBQConfig(lookup_dim=None),
}
ONE_EACH = {kind: next(c for c in CASES.values() if c.kind == kind) for kind in QUANTIZERS}


def build(config: QuantizerConfig, codebook_size: int = CODEBOOK_SIZE) -> Quantizer:
    """With entries drawn wide, so that codes are spread."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        quantizer = build_quantizer(config, codebook_size, CODE_DIM)
        if config.kind == "vector":
            nn.init.normal_(quantizer.codebook.weight)
    return quantizer


@pytest.fixture(params=CASES.values(), ids=CASES)
def quantizer(request) -> Quantizer:
    return build(request.param)


@pytest.fixture(params=ONE_EACH.values(), ids=ONE_EACH)
def one_of_each_kind(request) -> Quantizer:
    return build(request.param)


@pytest.fixture
def z(generator) -> Tensor:
    return torch.randn(2, CODE_DIM, 5, 3, generator=generator, requires_grad=True)


def test_every_registered_quantizer_has_a_case():
    assert {config.kind for config in CASES.values()} == set(QUANTIZERS)


# Shapes and codes


def test_shapes_and_dtypes(quantizer, z):
    z_q, codes, *losses = quantizer(z)
    assert z_q.shape == z.shape
    assert z_q.dtype == torch.float32
    assert codes.shape == (2, 5, 3)
    assert codes.dtype == torch.int64
    assert 0 <= codes.min() <= codes.max() < CODEBOOK_SIZE
    for loss in losses:
        assert loss.shape == ()
        assert loss.isfinite()


def test_codes_are_used(quantizer, z):
    assert len(quantizer.encode(z).unique()) > 3


def test_latent_is_the_embedding_of_the_codes(quantizer, z):
    """In training too, where some kinds draw the codes."""
    z_q, codes, *_ = quantizer(z)
    torch.testing.assert_close(z_q, quantizer.embed(codes), rtol=1e-5, atol=1e-6)


def test_evaluation_takes_the_codes_that_encode_gives(quantizer, z):
    quantizer.eval()
    first, second = quantizer(z), quantizer(z)
    assert torch.equal(first.codes, quantizer.encode(z))
    assert torch.equal(first.z_q, second.z_q)


def test_every_code_has_a_latent_of_its_own(quantizer):
    every = torch.arange(CODEBOOK_SIZE).view(1, 4, 4)
    latents = quantizer.embed(every)
    assert latents.shape == (1, CODE_DIM, 4, 4)
    assert len(latents.flatten(2)[0].T.unique(dim=0)) == CODEBOOK_SIZE


@pytest.mark.parametrize("shape", [(2, CODE_DIM + 1, 5, 3), (CODE_DIM, 5, 3)])
def test_latent_of_another_shape_is_refused(one_of_each_kind, shape):
    for call in (one_of_each_kind, one_of_each_kind.encode):
        with pytest.raises(ValueError, match=r"z must be \(B, 6, h, w\), got"):
            call(torch.zeros(shape))


@pytest.mark.parametrize("config", ONE_EACH.values(), ids=ONE_EACH)
def test_loaded_model_has_the_same_codes_and_images(config, tmp_path):
    shape = VQGANConfig(
        channels=8,
        channel_multipliers=(1, 1),
        norm_groups=2,
        code_dim=CODE_DIM,
        codebook_size=CODEBOOK_SIZE,
        quantizer=config,
    )
    vqgan = VQGAN(shape).eval()
    vqgan.save_pretrained(tmp_path / "model")
    loaded = VQGAN.from_pretrained(tmp_path / "model")
    images = torch.linspace(-1, 1, 2 * 3 * 8 * 8).view(2, 3, 8, 8)
    codes = vqgan.encode(images)
    assert torch.equal(loaded.encode(images), codes)
    torch.testing.assert_close(loaded.decode(codes), vqgan.decode(codes))


# Gradients


def test_the_encoder_hears_the_decoder(quantizer, z):
    """Each element of z has a finite gradient, and some are not zero."""
    weights = torch.arange(1.0, 1 + z.numel()).view(z.shape)
    (weights * quantizer(z).z_q).sum().backward()
    assert z.grad.isfinite().all()
    assert z.grad.abs().sum() > 0


def test_all_losses_together_have_finite_gradients(quantizer, z):
    quantized = quantizer(z)
    total = quantized.codebook_loss + quantized.commitment_loss + quantized.entropy_loss
    (total + quantized.z_q.square().mean()).backward()
    parameters = [p for p in quantizer.parameters() if p.requires_grad]
    for gradient in [z.grad, *(p.grad for p in parameters)]:
        assert gradient is not None
        assert gradient.isfinite().all()


LOOKUPS = [name for name, config in CASES.items() if config.kind in ("vector", "ema", "simvq")]


@pytest.mark.parametrize("name", [name for name in LOOKUPS if "rotation" not in name])
def test_gradient_passes_straight_through(name, z):
    """As if the lookup were not there: through the projections where there are some."""
    quantizer = build(CASES[name])
    quantizer(z).z_q.sum().backward()
    through = z.detach().clone().requires_grad_()
    quantizer.project_out(quantizer.lookup_vectors(through)).sum().backward()
    torch.testing.assert_close(z.grad, through.grad)


@pytest.mark.parametrize("name", LOOKUPS)
def test_commitment_loss_moves_the_encoder_only(name, z):
    quantizer = build(CASES[name])
    quantizer(z).commitment_loss.backward()
    assert z.grad.abs().sum() > 0
    moved = {n for n, p in quantizer.named_parameters() if p.grad is not None}
    assert moved <= {"project_in.weight", "project_in.bias"}


@pytest.mark.parametrize("name", [name for name in LOOKUPS if "ema" not in name])
def test_codebook_loss_moves_the_codebook_only(name, z):
    quantizer = build(CASES[name])
    quantizer(z).codebook_loss.backward()
    assert z.grad is None
    (moved,) = [n for n, p in quantizer.named_parameters() if p.grad is not None]
    assert moved in ("codebook.weight", "basis.weight")


@pytest.mark.parametrize("name", LOOKUPS)
def test_codebook_hears_nothing_of_the_decoder(name, z):
    quantizer = build(CASES[name])
    quantizer(z).z_q.sum().backward()
    moved = {n for n, p in quantizer.named_parameters() if p.grad is not None}
    assert not moved & {"codebook.weight", "basis.weight"}


@pytest.mark.parametrize("name", [name for name in LOOKUPS if "ema" not in name])
def test_losses_are_equal_before_they_are_weighted(name, z):
    """Both are the mean squared distance; they differ in whom they move."""
    quantized = build(CASES[name])(z)
    torch.testing.assert_close(quantized.codebook_loss, quantized.commitment_loss)
    assert quantized.codebook_loss > 0


# Number formats


def test_codes_do_not_depend_on_autocast(quantizer, z):
    quantizer.eval()
    exact = quantizer(z)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = quantizer(z)
        assert torch.equal(quantizer.encode(z), exact.codes)
    assert torch.equal(rough.codes, exact.codes)
    assert torch.equal(rough.z_q, exact.z_q)
    assert torch.equal(rough.commitment_loss, exact.commitment_loss)


def test_half_precision_latents_are_compared_in_float32(quantizer, z):
    quantizer.eval()
    rounded = z.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        quantized = quantizer(rounded)
    assert quantized.z_q.dtype == torch.bfloat16
    assert torch.equal(quantized.codes, quantizer.encode(rounded.float()))
    assert quantized.commitment_loss.dtype == torch.float32


@pytest.mark.parametrize("config", ONE_EACH.values(), ids=ONE_EACH)
def test_a_tokenizer_cast_to_bfloat16_encodes_and_decodes(config, generator):
    vqgan = tiny_vqgan(config).bfloat16().eval()
    images = (torch.rand(1, 3, 8, 8, generator=generator) * 2 - 1).bfloat16()
    codes = vqgan.encode(images)
    assert vqgan.decode(codes).shape == images.shape
    assert torch.equal(vqgan(images).quantized.codes, codes)


# State


def test_same_weights_give_the_same_codes(quantizer, z):
    other = copy.deepcopy(quantizer)
    for tensor in other.state_dict().values():
        tensor.zero_()
    other.load_state_dict(quantizer.state_dict())
    assert torch.equal(other.encode(z), quantizer.encode(z))
    assert torch.equal(other.embed(quantizer.encode(z)), quantizer.embed(quantizer.encode(z)))


@pytest.mark.parametrize("config", CASES.values(), ids=CASES)
def test_config_survives_json(config):
    kinds = TypeAdapter(QuantizerConfig)
    assert kinds.validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("kind", ONE_EACH)
def test_finishing_a_step_moves_only_what_learns_without_a_gradient(kind, z):
    quantizer = build(ONE_EACH[kind])
    before = copy.deepcopy(quantizer.state_dict())
    quantizer(z)
    quantizer.finish_step()
    moved = {n for n, t in quantizer.state_dict().items() if not torch.equal(t, before[n])}
    expected = {"ema": {"codebook", "counts", "sums", "steps"}, "gumbel": {"steps"}}
    assert moved == expected.get(kind, set())


@pytest.mark.parametrize("kind", ONE_EACH)
def test_restart_moves_unused_entries_and_no_other(kind, z):
    """Or none at all, in kinds whose entries cannot be placed."""
    quantizer = build(ONE_EACH[kind])
    unused = torch.zeros(CODEBOOK_SIZE, dtype=torch.bool)
    unused[[3, 8]] = True
    every = torch.arange(CODEBOOK_SIZE).view(1, 4, 4)
    before = quantizer.embed(every)
    moved = quantizer.restart(unused, z)
    differs = (quantizer.embed(every) != before).any(1).flatten()
    movable = kind in ("vector", "ema", "ibq")
    assert moved == (2 if movable else 0)
    assert torch.equal(differs, unused & torch.tensor(movable))


@pytest.mark.parametrize("kind", ["vector", "ema", "ibq"])
def test_restart_is_the_same_each_time(kind, z):
    """Every process must move the same entries to the same places."""
    unused = torch.arange(CODEBOOK_SIZE) % 2 == 0
    one, other = build(ONE_EACH[kind]), build(ONE_EACH[kind])
    assert one.restart(unused, z) == other.restart(unused, z) == 8
    codes = torch.arange(CODEBOOK_SIZE).view(1, 4, 4)
    assert torch.equal(one.embed(codes), other.embed(codes))


@pytest.mark.parametrize("kind", ["vector", "ema", "ibq"])
def test_restart_moves_no_more_entries_than_there_are_vectors(kind, z):
    unused = torch.ones(CODEBOOK_SIZE, dtype=torch.bool)
    assert build(ONE_EACH[kind]).restart(unused, z[:1, :, :2]) == 6


# Size


@pytest.mark.parametrize("config", ONE_EACH.values(), ids=ONE_EACH)
def test_training_keeps_nothing_of_the_size_of_vectors_times_codes(config):
    """2,048 vectors and 16,384 codes would be 128 MiB; what is kept is told by autograd."""
    kept = forward_cost(
        lambda: build(config, LARGE), lambda: torch.zeros(2, CODE_DIM, 32, 32, requires_grad=True)
    )
    assert kept.saved_bytes < 8 * 2**20


# Learning


def tiny_vqgan(config: QuantizerConfig) -> VQGAN:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return VQGAN(
            VQGANConfig(
                channels=16,
                channel_multipliers=(1, 1),
                code_dim=CODE_DIM,
                codebook_size=64,
                quantizer=config,
            )
        )


@pytest.mark.parametrize("config", ONE_EACH.values(), ids=ONE_EACH)
def test_a_small_tokenizer_learns_a_few_images_by_heart(config):
    config = config.model_copy(update={"levels": None} if config.kind == "fsq" else {})
    vqgan = tiny_vqgan(config).train()
    images = smooth_images()
    optimizer = torch.optim.AdamW(vqgan.parameters(), lr=3e-3, weight_decay=0)
    if vqgan.quantizer.waits_for_start:
        vqgan.quantizer.start(vqgan.latent(images))
    errors = []
    for _ in range(60):
        reconstructions, quantized, _ = vqgan(images)
        error = (reconstructions - images).abs().mean()
        loss = error + quantized.codebook_loss + 0.25 * quantized.commitment_loss
        (loss + quantized.entropy_loss).backward()
        optimizer.step()
        optimizer.zero_grad()
        vqgan.quantizer.finish_step()
        errors.append(error.item())
    assert errors[-1] < 0.4 * errors[0], errors[::10]


def smooth_images() -> Tensor:
    """Four gradients of colour, (4, 3, 16, 16)."""
    ramp = torch.linspace(-1, 1, 16)
    down, right = torch.meshgrid(ramp, ramp, indexing="ij")
    pictures = [
        torch.stack([down, right, down * right]),
        torch.stack([right, -down, right * right]),
        torch.stack([-right, down * down, down]),
        torch.stack([down * right, -right, -down]),
    ]
    return torch.stack(pictures)

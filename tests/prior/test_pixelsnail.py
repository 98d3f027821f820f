import math
from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from smalti.config import InputError
from smalti.metrics.nll import nats_per_token
from smalti.prior.base import GridSizes
from smalti.prior.pixelsnail.causal_conv import CausalConv
from smalti.prior.pixelsnail.config import PixelSNAILConfig
from smalti.prior.pixelsnail.model import PixelSNAIL

CODES = 7


class Case(NamedTuple):
    config: PixelSNAILConfig
    sizes: GridSizes


def tiny(
    cond_length: int = 2, height: int = 3, width: int = 3, channels: int = 8, **options: float
) -> Case:
    shape = {"blocks": 2, "residual_blocks": 1, "width": channels, "heads": 2, "dropout": 0}
    length = cond_length + height * width - 1
    sizes = GridSizes(CODES + 4, length, cond_length, height, width)
    return Case(PixelSNAILConfig(**shape | options), sizes)


CASES = {
    "one condition": tiny(cond_length=1),
    "short condition": tiny(cond_length=2),
    "aligned condition": tiny(cond_length=9),
    "two aligned conditions": tiny(cond_length=12, height=2),
    "longer condition": tiny(cond_length=7, height=2),
    "wide": tiny(height=2, width=5),
    "high": tiny(height=5, width=2, kernel_size=5),
    "one row": tiny(height=1, width=6),
    "one column": tiny(height=6, width=1),
    "one cell": tiny(height=1, width=1),
    "wide kernel": tiny(kernel_size=7),
    "residual blocks": tiny(residual_blocks=2),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def random_snail(case: Case, generator: torch.Generator) -> PixelSNAIL:
    """A PixelSNAIL in which every weight matters: none is zero or one."""
    snail = PixelSNAIL(*case)
    with torch.no_grad():
        for weight in snail.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    return snail.eval()


def random_tokens(case: Case, generator: torch.Generator, batch: int = 3) -> Tensor:
    return torch.randint(case.sizes.vocab_size, (batch, case.sizes.max_length), generator=generator)


@pytest.fixture
def snail(generator) -> PixelSNAIL:
    return random_snail(tiny(), generator)


@pytest.fixture
def tokens(generator) -> Tensor:
    return random_tokens(tiny(), generator)


@each_case
def test_each_position_sees_all_tokens_before_it_and_none_after(case, generator):
    snail, tokens = random_snail(case, generator), random_tokens(case, generator)
    embedded = snail.token_embedding(tokens).detach().requires_grad_()
    snail.token_embedding.forward = lambda _: embedded
    logits = snail.logits(tokens)
    for position in range(case.sizes.max_length):
        (gradient,) = torch.autograd.grad(logits[:, position].sum(), embedded, retain_graph=True)
        reached = gradient.abs().sum((0, 2)) > 0
        sees = position >= case.sizes.cond_length - 1
        assert reached.tolist() == [sees and i <= position for i in range(case.sizes.max_length)]


def test_logits_before_the_last_condition_are_zero(generator):
    case = CASES["longer condition"]
    logits = random_snail(case, generator).logits(random_tokens(case, generator))
    assert logits.shape == (3, case.sizes.max_length, case.sizes.vocab_size)
    is_zero = (logits == 0).all(2).all(0)
    assert is_zero.tolist() == [
        i < case.sizes.cond_length - 1 for i in range(case.sizes.max_length)
    ]


@each_case
@pytest.mark.parametrize("image_tokens", [0, 1, 3, 8])
def test_cached_logits_equal_uncached_after_any_first_call(case, image_tokens, generator):
    snail, tokens = random_snail(case, generator), random_tokens(case, generator)
    first = min(case.sizes.cond_length + image_tokens, case.sizes.max_length)
    chunks = [first, *[1] * (case.sizes.max_length - first)]
    cache = snail.new_cache(3)
    cached = [snail.logits(part, cache) for part in tokens.split(chunks, dim=1)]
    assert cache.length == case.sizes.max_length
    torch.testing.assert_close(torch.cat(cached, dim=1), snail.logits(tokens), rtol=0, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("chunks", [[1] * 10, [1, 4, 1, 1, 3], [10], [2, 8]])
def test_cached_logits_equal_uncached_in_any_chunks(snail, tokens, batch, chunks):
    tokens = tokens[:batch]
    cache = snail.new_cache(batch)
    cached = [snail.logits(part, cache) for part in tokens.split(chunks, dim=1)]
    torch.testing.assert_close(torch.cat(cached, dim=1), snail.logits(tokens), rtol=0, atol=1e-5)


@each_case
def test_shorter_sequences_have_the_same_logits(case, generator):
    snail, tokens = random_snail(case, generator), random_tokens(case, generator)
    logits = snail.logits(tokens)
    for length in range(1, case.sizes.max_length):
        shorter = snail.logits(tokens[:, :length])
        torch.testing.assert_close(shorter, logits[:, :length], rtol=0, atol=1e-5)


def test_a_single_cell_computes_no_other(snail, tokens):
    """Whatever a layer reads, it is given one cell of each row of the batch."""
    cache = snail.new_cache(3)
    snail.logits(tokens[:, :2], cache)
    sizes = []
    for module in snail.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda _, read, __: sizes.append(read[0].numel()))
    snail.logits(tokens[:, 2:3], cache)
    assert max(sizes) == 3 * 2 * snail.config.width  # a token and features


def test_caches_do_not_share(snail, tokens):
    expected = snail.logits(tokens)
    caches = [snail.new_cache(1) for _ in range(3)]
    for position in range(tokens.shape[1]):
        for row, cache in enumerate(caches):
            logits = snail.logits(tokens[row : row + 1, position : position + 1], cache)
            torch.testing.assert_close(logits[0, 0], expected[row, position], rtol=0, atol=1e-5)


def test_sequence_longer_than_the_model_is_refused(snail, tokens):
    with pytest.raises(ValueError, match="11 tokens exceeds 10"):
        snail.logits(torch.cat([tokens, tokens[:, :1]], dim=1))
    cache = snail.new_cache(3)
    snail.logits(tokens, cache)
    with pytest.raises(ValueError, match="11 tokens exceeds 10"):
        snail.logits(tokens[:, :1], cache)


@each_case
def test_the_loss_of_the_image_reaches_every_parameter(case, generator):
    snail, tokens = PixelSNAIL(*case), random_tokens(case, generator)
    logits = snail(tokens)[:, case.sizes.cond_length - 1 :]
    targets = torch.randint(CODES, logits.shape[:2], generator=generator)
    nats_per_token(logits, targets).mean().backward()
    bad = [
        name
        for name, weight in snail.named_parameters()
        if weight.grad is None or not weight.grad.isfinite().all()
    ]
    assert bad == []


def test_each_cell_is_told_the_condition_at_its_place(generator):
    case = CASES["two aligned conditions"]
    encoder = random_snail(case, generator).cond_encoder
    conditioning = encoder(torch.randn(1, 12, 8, generator=generator))
    expected = (conditioning.states[:, 1 * 3 + 2] + conditioning.states[:, 6 + 1 * 3 + 2]) / 2
    torch.testing.assert_close(conditioning.cells[:, 1, 2], expected)


@pytest.mark.parametrize("sees_itself", [True, False])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_convolution_equals_a_masked_one(kernel_size, sees_itself, generator):
    conv = CausalConv(2, 4, kernel_size, sees_itself=sees_itself)
    reach = kernel_size // 2
    kernel = torch.zeros(4, 2, kernel_size, kernel_size)
    kernel[:, :, :reach] = conv.above.weight.detach()
    kernel[:, :, reach, : reach + sees_itself] = conv.left.weight.detach()[:, :, 0]
    x = torch.randn(2, 2, 4, 5, generator=generator)
    expected = F.conv2d(x, kernel, conv.left.bias, padding=reach).permute(0, 2, 3, 1)
    ours = conv(x.permute(0, 2, 3, 1))
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_overfits_four_grids(generator):
    snail = PixelSNAIL(*tiny(cond_length=1, height=3, width=4, channels=32))
    snail.reset_parameters(generator)
    codes = torch.randint(CODES, (4, 12), generator=generator)
    cond_tokens = torch.arange(4).view(4, 1) + CODES
    tokens = torch.cat([cond_tokens, codes[:, :-1]], dim=1)
    optimizer = torch.optim.AdamW(snail.parameters(), lr=3e-3)
    for _ in range(120):
        loss = nats_per_token(snail(tokens), codes).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_new_model_predicts_almost_evenly():
    case = tiny()
    tokens = torch.arange(10).view(1, 10)
    logits = PixelSNAIL(*case).logits(tokens)[:, 1:]
    loss = nats_per_token(logits, torch.arange(9).view(1, 9)).mean()
    torch.testing.assert_close(loss.item(), math.log(case.sizes.vocab_size), rtol=0.05, atol=0)


def test_weights_depend_on_the_generator_only():
    def weights(seed: int) -> Tensor:
        snail = PixelSNAIL(*tiny())
        snail.reset_parameters(torch.Generator().manual_seed(seed))
        return torch.cat([weight.flatten() for weight in snail.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_dropout_acts_in_training_only(generator, tokens):
    snail = random_snail(tiny(dropout=0.5), generator)
    assert torch.equal(snail.logits(tokens), snail.logits(tokens))
    snail.train()
    assert not torch.equal(snail.logits(tokens), snail.logits(tokens))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_autocast_keeps_the_logits_and_the_cache_in_its_dtype(snail, tokens, dtype):
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        cache = snail.new_cache(3)
        cached = [snail.logits(part, cache) for part in tokens.split([4, 1, 5], dim=1)]
    assert cache.kv.keys.dtype == dtype
    logits = torch.cat(cached, dim=1)
    torch.testing.assert_close(logits.float(), snail.logits(tokens), rtol=0.1, atol=0.2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 3}, "width 8 is not a multiple of heads 3"),
        ({"kernel_size": 4}, "kernel-size must be odd, got 4"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        tiny(**options)


def test_the_length_must_be_that_of_the_grid():
    config, sizes = tiny()
    with pytest.raises(InputError, match="max_length must be 10"):
        PixelSNAIL(config, replace(sizes, max_length=11))


@pytest.mark.gpu
def test_logits_on_a_gpu_equal_those_on_a_processor(snail, tokens):
    on_processor = snail.logits(tokens)
    on_gpu = snail.cuda().logits(tokens.cuda()).cpu()
    torch.testing.assert_close(on_gpu, on_processor, rtol=1e-3, atol=1e-3)

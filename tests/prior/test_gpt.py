import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from smalti.metrics.nll import nats_per_token
from smalti.prior.base import SequenceSizes
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT
from smalti.weights import count_parameters

TINY = GPT2Config(layers=2, heads=2, width=16, dropout=0)
SIZES = SequenceSizes(vocab_size=11, max_length=9)


def random_gpt(config: GPT2Config, generator: torch.Generator) -> GPT:
    """A GPT in which every weight matters: none is zero or one."""
    gpt = GPT(config, SIZES)
    with torch.no_grad():
        for weight in gpt.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    return gpt.eval()


@pytest.fixture
def gpt(generator) -> GPT:
    return random_gpt(TINY, generator)


@pytest.fixture
def tokens(generator) -> Tensor:
    return torch.randint(SIZES.vocab_size, (3, SIZES.max_length), generator=generator)


def reference_logits(gpt: GPT, tokens: Tensor) -> Tensor:
    """The transformer once more, from the textbook: one position and one head at a time."""
    weights = dict(gpt.named_parameters())
    size = gpt.config.width // gpt.config.heads

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def attend(x: Tensor, name: str) -> Tensor:
        q, k, v = linear(x, f"{name}.qkv").chunk(3, dim=-1)
        rows = []
        for position in range(x.shape[1]):
            heads = []
            for head in range(gpt.config.heads):
                part = slice(head * size, (head + 1) * size)
                seen = slice(0, position + 1)
                scores = (k[:, seen, part] * q[:, position, None, part]).sum(-1) / math.sqrt(size)
                shares = scores.exp() / scores.exp().sum(1, keepdim=True)
                heads.append((shares[..., None] * v[:, seen, part]).sum(1))
            rows.append(torch.cat(heads, dim=-1))
        return linear(torch.stack(rows, dim=1), f"{name}.projection")

    x = weights["token_embedding.weight"][tokens]
    x = x + weights["position_embedding"][: tokens.shape[1]]
    for layer in range(gpt.config.layers):
        name = f"blocks.{layer}"
        x = x + attend(norm(x, f"{name}.attention_norm"), f"{name}.attention")
        hidden = linear(norm(x, f"{name}.mlp_norm"), f"{name}.mlp.expand")
        gelu = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
        x = x + linear(gelu, f"{name}.mlp.contract")
    return norm(x, "norm") @ weights["head.weight"].T


@pytest.mark.parametrize("batch", [1, 3])
def test_logits_equal_an_independent_implementation(gpt, tokens, batch):
    ours, reference = gpt.logits(tokens[:batch]), reference_logits(gpt, tokens[:batch])
    torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-4)


def test_no_position_sees_a_later_token(gpt, tokens):
    embedded = gpt.token_embedding(tokens).detach().requires_grad_()
    gpt.token_embedding.forward = lambda _: embedded
    logits = gpt.logits(tokens)
    for position in range(SIZES.max_length):
        (gradient,) = torch.autograd.grad(logits[:, position].sum(), embedded, retain_graph=True)
        reached = gradient.abs().sum((0, 2)) > 0
        assert reached.tolist() == [i <= position for i in range(SIZES.max_length)]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("chunks", [[1] * 9, [4, 1, 1, 3], [9], [2, 7]])
def test_cached_logits_equal_uncached_at_every_position(gpt, tokens, batch, chunks):
    tokens = tokens[:batch]
    cache = gpt.new_cache(batch)
    cached = [gpt.logits(part, cache) for part in tokens.split(chunks, dim=1)]
    torch.testing.assert_close(torch.cat(cached, dim=1), gpt.logits(tokens), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("first", [1, 5, 9])
def test_last_only_leaves_out_the_others(gpt, tokens, first):
    whole, last = gpt.new_cache(3), gpt.new_cache(3)
    expected = gpt.logits(tokens[:, :first], whole)[:, -1:]
    found = gpt.logits(tokens[:, :first], last, last_only=True)
    torch.testing.assert_close(found, expected)
    assert torch.equal(whole.keys[..., :first, :], last.keys[..., :first, :])
    assert torch.equal(whole.values[..., :first, :], last.values[..., :first, :])


def test_last_only_computes_one_position_of_the_last_block(gpt, tokens):
    lengths = []
    for block in gpt.blocks:
        block.mlp.register_forward_pre_hook(lambda mlp, inputs: lengths.append(inputs[0].shape[1]))
    gpt.logits(tokens, last_only=True)
    assert lengths == [SIZES.max_length, 1]


def test_reset_cache_is_as_good_as_new(gpt, tokens):
    cache = gpt.new_cache(3)
    gpt.logits(tokens, cache)
    cache.reset()
    after = torch.cat([gpt.logits(part, cache) for part in tokens.split([4, 1, 4], dim=1)], dim=1)
    torch.testing.assert_close(after, gpt.logits(tokens), rtol=1e-4, atol=1e-4)


def test_wrappers_call_the_same_logits(gpt, tokens):
    assert torch.equal(gpt(tokens), gpt.logits(tokens))


def test_sequence_longer_than_the_model_is_refused(gpt, tokens):
    cache = gpt.new_cache(3)
    gpt.logits(tokens, cache)
    with pytest.raises(ValueError, match="10 tokens exceeds 9"):
        gpt.logits(tokens[:, :1], cache)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_autocast_keeps_the_logits_and_the_cache_in_its_dtype(gpt, tokens, dtype):
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        cache = gpt.new_cache(3)
        cached = [gpt.logits(part, cache) for part in tokens.split([4, 1, 4], dim=1)]
    assert cache.keys.dtype == dtype
    logits = torch.cat(cached, dim=1)
    torch.testing.assert_close(logits.float(), gpt.logits(tokens), rtol=0.1, atol=0.5)


def test_dropout_acts_in_training_only(generator, tokens):
    gpt = random_gpt(TINY.model_copy(update={"dropout": 0.5}), generator)
    assert torch.equal(gpt.logits(tokens), gpt.logits(tokens))
    gpt.train()
    assert not torch.equal(gpt.logits(tokens), gpt.logits(tokens))


def test_new_model_predicts_almost_evenly():
    gpt = GPT(TINY, SIZES)
    tokens = torch.arange(9).view(1, 9)
    loss = nats_per_token(gpt.logits(tokens), tokens).mean()
    torch.testing.assert_close(loss.item(), math.log(SIZES.vocab_size), rtol=0.05, atol=0)


def test_weights_depend_on_the_generator_only():
    def weights(seed: int) -> Tensor:
        gpt = GPT(TINY, SIZES)
        gpt.reset_parameters(torch.Generator().manual_seed(seed))
        return torch.cat([weight.flatten() for weight in gpt.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize(
    ("layers", "width", "codes", "millions"), [(24, 1024, 1024, 307), (12, 768, 768, 85)]
)
def test_parameters_are_those_of_the_papers_table_3(layers, width, codes, millions):
    """The rows IN and RIN; the table rounds, and does not say what it counts."""
    shape = {"dropout": 0, "layers": layers, "heads": 16, "width": width}
    with torch.device("meta"):
        gpt = GPT(GPT2Config(**shape), SequenceSizes(codes + 1, 512))
    assert count_parameters(gpt) == pytest.approx(millions * 1e6, rel=0.02)


def test_heads_must_divide_the_width():
    with pytest.raises(ValidationError, match="width 16 is not a multiple of heads 3"):
        GPT2Config(heads=3, width=16)


@pytest.mark.gpu
def test_logits_on_a_gpu_equal_those_on_a_processor(gpt, tokens):
    on_processor = gpt.logits(tokens)
    on_gpu = gpt.cuda().logits(tokens.cuda()).cpu()
    torch.testing.assert_close(on_gpu, on_processor, rtol=1e-3, atol=1e-3)

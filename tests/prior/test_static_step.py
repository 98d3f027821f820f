import pytest
import torch
from torch import Tensor

from smalti.prior.base import SequenceSizes
from smalti.prior.gpt import decoding
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT

LENGTH = 7


@pytest.fixture
def gpt(generator) -> GPT:
    gpt = GPT(GPT2Config(layers=2, heads=2, width=8, dropout=0), SequenceSizes(5, LENGTH)).eval()
    with torch.no_grad():
        for weight in gpt.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.5)
    return gpt


@pytest.fixture
def tokens(generator) -> Tensor:
    return torch.randint(5, (3, LENGTH), generator=generator)


def cached_logits(gpt: GPT, tokens: Tensor, chunks: list[int]) -> Tensor:
    """Logits of tokens that are read twice with one cache, which must not show."""
    cache = gpt.new_cache(len(tokens))
    for part in tokens.flip(0).split(chunks, dim=1):
        gpt.logits(part, cache)
    cache.reset()
    return torch.cat([gpt.logits(part, cache) for part in tokens.split(chunks, dim=1)], dim=1)


@pytest.mark.parametrize("chunks", [[1] * 7, [3, 1, 1, 2]])
def test_static_step_equals_reading_all_at_once(gpt, tokens, chunks, monkeypatch):
    monkeypatch.setattr(decoding, "is_worth_it", lambda device: True)
    found = cached_logits(gpt, tokens, chunks)
    torch.testing.assert_close(found, gpt.logits(tokens), rtol=1e-4, atol=1e-4)


def test_static_step_goes_back_to_what_was_saved(gpt, tokens, monkeypatch):
    monkeypatch.setattr(decoding, "is_worth_it", lambda device: True)
    cache = gpt.new_cache(3)
    gpt.logits(tokens[:, :2], cache)
    saved = cache.save()
    first = gpt.logits(tokens[:, 2:3], cache)
    gpt.logits(tokens[:, 3:4], cache)
    cache.restore(saved)
    assert torch.equal(gpt.logits(tokens[:, 2:3], cache), first)


def test_static_step_in_bfloat16_is_near(gpt, tokens, monkeypatch):
    monkeypatch.setattr(decoding, "is_worth_it", lambda device: True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = cached_logits(gpt, tokens, [2, 1, 1, 1, 1, 1])
    torch.testing.assert_close(found.float(), gpt.logits(tokens), rtol=0.1, atol=0.5)


@pytest.mark.gpu
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("chunks", [[1] * 7, [3, 1, 1, 2]])
def test_recorded_step_equals_reading_all_at_once(gpt, tokens, chunks, autocast):
    gpt, tokens = gpt.cuda(), tokens.cuda()
    with torch.inference_mode():
        expected = gpt.logits(tokens)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=autocast):
            found = cached_logits(gpt, tokens, chunks)
    tolerance = {"rtol": 0.1, "atol": 0.5} if autocast else {"rtol": 1e-3, "atol": 1e-3}
    torch.testing.assert_close(found.float(), expected, **tolerance)

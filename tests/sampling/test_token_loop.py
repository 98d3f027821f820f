import pytest
import torch
from torch import Tensor

from helpers.generation import Prompt, generate
from smalti.config import InputError
from smalti.prior.base import SequenceSizes
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT
from smalti.sampling.choice import seeded_choice
from smalti.sampling.config import SamplingConfig

CODES, LENGTH = 8, 6
ALL = SamplingConfig(top_k=0)
GREEDY = SamplingConfig(temperature=0)


@pytest.fixture
def gpt(generator) -> GPT:
    gpt = GPT(
        GPT2Config(layers=2, heads=2, width=16, dropout=0), SequenceSizes(CODES + 3, LENGTH + 2)
    )
    with torch.no_grad():
        for weight in gpt.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.5)
    return gpt.eval()


@pytest.fixture
def prompt() -> Prompt:
    """Two conditioning tokens of three images, one of each class, and the null class."""
    cond_tokens = torch.tensor([[8, 9], [9, 8], [8, 8]])
    return Prompt(cond_tokens, torch.full((3, 2), 10))


class Recorder:
    """A draw that takes the likeliest code and keeps the probabilities it saw."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(self, rows: Tensor, step: int) -> Tensor:
        assert step == len(self.seen)
        self.seen.append(rows)
        return rows.argmax(1)


def uncached_logits(gpt: GPT, cond_tokens: Tensor, tokens: Tensor) -> Tensor:
    """Logits (B, L, K) of each image token, from the whole sequence at once."""
    sequence = torch.cat([cond_tokens, tokens[:, :-1]], dim=1)
    return gpt.logits(sequence)[:, cond_tokens.shape[1] - 1 :, :CODES].detach()


def test_each_token_is_drawn_from_the_priors_probabilities(gpt, prompt):
    draw = Recorder()
    tokens = generate(gpt, prompt, LENGTH, CODES, ALL, draw)
    expected = uncached_logits(gpt, prompt.cond_tokens, tokens).softmax(-1)
    torch.testing.assert_close(torch.stack(draw.seen, dim=1), expected, rtol=1e-4, atol=1e-5)


def test_guidance_draws_from_the_guided_probabilities(gpt, prompt):
    draw = Recorder()
    config = SamplingConfig(top_k=0, guidance=2.5)
    tokens = generate(gpt, prompt, LENGTH, CODES, config, draw)
    cond = uncached_logits(gpt, prompt.cond_tokens, tokens)
    null = uncached_logits(gpt, prompt.null_tokens, tokens)
    expected = (null + 2.5 * (cond - null)).softmax(-1)
    torch.testing.assert_close(torch.stack(draw.seen, dim=1), expected, rtol=1e-4, atol=1e-5)


def test_guidance_rises_from_1_at_the_first_token_to_its_scale_at_the_last(gpt, prompt):
    draw = Recorder()
    config = SamplingConfig(top_k=0, guidance=3, guidance_schedule="cosine")
    tokens = generate(gpt, prompt, LENGTH, CODES, config, draw)
    cond = uncached_logits(gpt, prompt.cond_tokens, tokens)
    null = uncached_logits(gpt, prompt.null_tokens, tokens)
    last = (null + 3 * (cond - null))[:, -1]
    torch.testing.assert_close(draw.seen[0], cond[:, 0].softmax(-1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(draw.seen[-1], last.softmax(-1), rtol=1e-4, atol=1e-5)


def test_conditioning_tokens_are_never_drawn(gpt, prompt):
    with torch.no_grad():
        gpt.head.weight[CODES:] *= 100  # they would win or lose every comparison
    uniform = seeded_choice(0, range(3), LENGTH, torch.device("cpu"))
    tokens = generate(gpt, prompt, LENGTH, CODES, ALL, uniform)
    assert tokens.shape == (3, LENGTH)
    assert 0 <= tokens.min() <= tokens.max() < CODES


def test_greedy_takes_the_likeliest_code_each_time(gpt, prompt):
    draw = seeded_choice(0, range(3), LENGTH, torch.device("cpu"))
    tokens = generate(gpt, prompt, LENGTH, CODES, GREEDY, draw)
    assert torch.equal(tokens, uncached_logits(gpt, prompt.cond_tokens, tokens).argmax(-1))


def test_progress_is_reported_once_a_token(gpt, prompt):
    steps = []
    generate(gpt, prompt, LENGTH, CODES, ALL, Recorder(), lambda: steps.append(1))
    assert len(steps) == LENGTH


def test_tokens_can_be_trained_on(gpt, prompt):
    tokens = generate(gpt, prompt, LENGTH, CODES, ALL, Recorder())
    gpt.logits(tokens).sum().backward()
    assert gpt.head.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("config", [ALL, GREEDY, SamplingConfig(top_k=3, top_p=0.5, guidance=2)])
def test_broken_weights_give_one_clear_error(gpt, prompt, config):
    with torch.no_grad():
        gpt.blocks[1].mlp.expand.bias[3] = float("nan")
    draw = seeded_choice(0, range(3), LENGTH, torch.device("cpu"))
    with pytest.raises(InputError, match="logits are not finite numbers"):
        generate(gpt, prompt, LENGTH, CODES, config, draw)


def test_bfloat16_autocast_gives_valid_codes(gpt, prompt):
    draw = seeded_choice(0, range(3), LENGTH, torch.device("cpu"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tokens = generate(gpt, prompt, LENGTH, CODES, SamplingConfig(guidance=2), draw)
    assert 0 <= tokens.min() <= tokens.max() < CODES


@pytest.mark.gpu
def test_tokens_on_a_gpu_equal_those_on_a_processor(gpt, prompt):
    def tokens(device: str) -> Tensor:
        moved = Prompt(prompt.cond_tokens.to(device), prompt.null_tokens.to(device))
        draw = seeded_choice(0, range(3), LENGTH, torch.device(device))
        config = SamplingConfig(guidance=2)
        return generate(gpt.to(device), moved, LENGTH, CODES, config, draw).cpu()

    assert torch.equal(tokens("cuda"), tokens("cpu"))

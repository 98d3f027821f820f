"""What every prior keeps: whoever registers one adds a config, and these tests run on it."""

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from helpers.generation import Prompt, generate
from smalti.prior.base import PRIORS, GridSizes, MapTokens
from smalti.prior.build import build_prior
from smalti.prior.config import PriorConfig
from smalti.prior.gpt.config import GPT2Config, GPTConfig
from smalti.prior.local.config import LocalConfig
from smalti.prior.pixelsnail.config import PixelSNAILConfig
from smalti.sampling.choice import seeded_choice
from smalti.sampling.config import SamplingConfig
from smalti.sampling.filters import probabilities

COND_LENGTH = 2
SIZES = GridSizes(11, 13, COND_LENGTH, 3, 4, maps=(MapTokens(1, 1, 1),))
OPTIONS = {"width": 16, "heads": 2, "dropout": 0}
PLAIN = {"norm": "layer", "mlp": "gelu", "query_key_norm": False, "positions": "learned"}
CONFIGS = {
    "gpt2": GPT2Config(layers=2, **OPTIONS),
    "gpt": GPTConfig(layers=2, **OPTIONS),
    "gpt with rms": GPTConfig(layers=2, **OPTIONS, **PLAIN | {"norm": "rms"}),
    "gpt with swiglu": GPTConfig(layers=2, **OPTIONS, **PLAIN | {"mlp": "swiglu"}),
    "gpt with query-key norm": GPTConfig(layers=2, **OPTIONS, **PLAIN | {"query_key_norm": True}),
    "gpt with rotary positions": GPTConfig(layers=2, **OPTIONS, **PLAIN | {"positions": "rotary"}),
    "gpt with shared keys": GPTConfig(layers=2, **OPTIONS, **PLAIN, kv_heads=1),
    "gpt by class": GPTConfig(layers=2, **OPTIONS, class_by="norm"),
    # All columns: else the last code of a row does not change what follows it at once.
    "local": LocalConfig(layers=2, neighbour_columns=4, **OPTIONS),
    "local with shared keys": LocalConfig(
        layers=2, neighbour_rows=1, neighbour_columns=4, kv_heads=1, **OPTIONS
    ),
    "pixelsnail": PixelSNAILConfig(blocks=1, **OPTIONS),
}


@pytest.fixture(params=list(CONFIGS))
def prior(request, generator):
    prior = build_prior(CONFIGS[request.param], SIZES)
    with torch.no_grad():
        for weight in prior.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    return prior.eval()


@pytest.fixture
def tokens(generator) -> Tensor:
    return torch.randint(11, (3, 13), generator=generator)


def test_logits_are_finite_at_each_position(prior, tokens):
    logits = prior.logits(tokens)
    assert logits.shape == (3, 13, 11)
    assert logits.isfinite().all()
    assert torch.equal(prior(tokens), logits)


@pytest.mark.parametrize("position", range(1, 13))
def test_logits_do_not_depend_on_later_tokens(prior, tokens, position):
    changed = tokens.clone()
    changed[:, position:] = (changed[:, position:] + 1) % 11
    before, after = prior.logits(tokens), prior.logits(changed)
    torch.testing.assert_close(after[:, :position], before[:, :position], rtol=0, atol=1e-5)
    if position >= COND_LENGTH - 1:
        assert not torch.allclose(after[:, position], before[:, position])


@pytest.mark.parametrize("chunks", [[1] * 13, [2, *[1] * 11], [6, 1, 6], [13]])
def test_cached_logits_equal_uncached(prior, tokens, chunks):
    cache = prior.new_cache(3)
    cached = [prior.logits(part, cache) for part in tokens.split(chunks, dim=1)]
    torch.testing.assert_close(torch.cat(cached, dim=1), prior.logits(tokens), rtol=0, atol=1e-4)


@pytest.mark.parametrize("chunks", [[1] * 13, [2, *[1] * 11], [6, 1, 6], [13]])
def test_reset_cache_is_as_good_as_new(prior, tokens, chunks):
    cache = prior.new_cache(3)
    for part in (tokens + 1).remainder(11)[:, :9].split([4, 1, 4], dim=1):
        prior.logits(part, cache)
    cache.reset()
    cached = [prior.logits(part, cache) for part in tokens.split(chunks, dim=1)]
    torch.testing.assert_close(torch.cat(cached, dim=1), prior.logits(tokens), rtol=0, atol=1e-4)


@pytest.mark.parametrize("read", [2, 3, 7])
@pytest.mark.parametrize("chunk", [1, 3])
def test_a_cache_goes_back_to_what_was_saved(prior, tokens, read, chunk):
    expected = prior.logits(tokens)[:, read:]
    cache = prior.new_cache(3)
    if not cache.reads_together:
        assert not hasattr(cache, "save")
        return
    prior.logits(tokens[:, :read], cache)
    saved = cache.save()
    cache.reset()
    prior.logits((tokens + 1).remainder(11), cache)
    for _ in range(2):  # reading on does not change what was saved
        cache.restore(saved)
        assert cache.length == read
        cached = [prior.logits(part, cache) for part in tokens[:, read:].split(chunk, dim=1)]
        torch.testing.assert_close(torch.cat(cached, dim=1), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("chunk", [1, 3])
def test_a_cache_forgets_its_newest_tokens(prior, tokens, chunk):
    cache = prior.new_cache(3)
    if not hasattr(cache, "rewind"):
        assert not cache.reads_together
        return
    others = (tokens + 1).remainder(11)
    prior.logits(torch.cat([tokens[:, :4], others[:, 4:7]], 1), cache)
    cache.rewind(4)
    assert cache.length == 4
    cached = [prior.logits(part, cache) for part in tokens[:, 4:].split(chunk, dim=1)]
    expected = prior.logits(tokens)[:, 4:]
    torch.testing.assert_close(torch.cat(cached, dim=1), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("read", [2, 7])
def test_rows_go_on_from_what_one_row_has_read(prior, tokens, read):
    tokens[2] = tokens[1]
    tokens[2, read:] = (tokens[2, read:] + 1).remainder(11)
    cache = prior.new_cache(3)
    prior.logits(tokens[:2, :read].flip(0), cache)
    cache.spread(torch.tensor([1, 0, 0]))
    cached = [prior.logits(part, cache) for part in tokens[:, read:].split(1, dim=1)]
    expected = prior.logits(tokens)[:, read:]
    torch.testing.assert_close(torch.cat(cached, dim=1), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("chunks", [[1] * 13, [2, *[1] * 11], [6, 1, 6], [13]])
def test_last_only_leaves_out_the_others(prior, tokens, chunks):
    whole, last = prior.new_cache(3), prior.new_cache(3)
    for part in tokens.split(chunks, dim=1):
        expected = prior.logits(part, whole)[:, -1:]
        torch.testing.assert_close(prior.logits(part, last, last_only=True), expected)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_generation_draws_from_the_logits_of_the_whole_sequence(prior, guidance):
    prompt = Prompt(torch.tensor([[9, 8], [8, 9]]), torch.tensor([[10, 10], [10, 10]]))
    config = SamplingConfig(temperature=0.5, guidance=guidance)
    draw = seeded_choice(0, range(2), 12, torch.device("cpu"))
    tokens = generate(prior, prompt, 12, 8, config, draw)

    def last_logits(cond_tokens: Tensor) -> Tensor:
        return prior.logits(torch.cat([cond_tokens, tokens[:, :-1]], dim=1))[:, COND_LENGTH - 1 :]

    null, cond = last_logits(prompt.null_tokens), last_logits(prompt.cond_tokens)
    logits = (null + guidance * (cond - null))[..., :8]
    for step in range(12):
        expected = draw(probabilities(logits[:, step], config), step)
        assert torch.equal(tokens[:, step], expected)


def test_guidance_reads_all_prefixes_in_one_pass(prior):
    read, logits = [], prior.logits
    prior.logits = lambda tokens, *rest, **named: (
        read.append(len(tokens)) or logits(tokens, *rest, **named)
    )
    prompt = Prompt(torch.tensor([[8, 9], [9, 8]]), torch.full((2, 2), 10))
    draw = seeded_choice(0, range(2), 12, torch.device("cpu"))
    generate(prior, prompt, 12, 8, SamplingConfig(guidance=2), draw)
    assert read == [4] * 12


def test_a_sequence_that_is_too_long_is_refused(prior, tokens):
    with pytest.raises(ValueError, match="14 tokens exceeds 13"):
        prior.logits(torch.cat([tokens, tokens[:, :1]], dim=1))


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_configs_survive_a_round_trip_and_name_their_class(kind):
    adapter = TypeAdapter(PriorConfig)
    read = adapter.validate_json(adapter.dump_json(CONFIGS[kind]))
    assert read == CONFIGS[kind]
    assert type(build_prior(read, SIZES)) is PRIORS[read.kind]


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValidationError, match="kind"):
        TypeAdapter(PriorConfig).validate_python({"kind": "lstm", **OPTIONS})


def test_each_registered_kind_is_tried():
    assert {config.kind for config in CONFIGS.values()} == set(PRIORS)

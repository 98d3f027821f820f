"""Our GPT and sampler give the numbers of the released code, recorded in the oracle."""

import pytest
import torch
from torch import Tensor

from helpers.generation import Prompt, generate
from smalti.config import InputError
from smalti.interop.taming_gpt import import_gpt, name_gpt
from smalti.metrics.nll import nats_per_token
from smalti.prior.base import SequenceSizes
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT
from smalti.sampling.choice import Choose
from smalti.sampling.config import SamplingConfig
from smalti.sampling.filters import keep_top_k
from smalti.sequence.layout import Layout
from smalti.sequence.ordering import RowMajor

TINY = GPT2Config(layers=2, heads=2, width=32, dropout=0)
SIZES = SequenceSizes(vocab_size=33, max_length=32)
GREEDY = SamplingConfig(temperature=0, top_k=0)


def below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


@pytest.fixture
def oracle(oracle_tensors) -> dict[str, Tensor]:
    return oracle_tensors("gpt_tiny")


@pytest.fixture
def gpt(oracle) -> GPT:
    return import_gpt(below(oracle, "sd."), heads=2)


def multinomial(probabilities: Tensor, step: int) -> Tensor:
    """The released code's draw: torch's own generator, one call a step."""
    return torch.multinomial(probabilities, 1).squeeze(1)


def sample(gpt: GPT, cond_tokens: Tensor, length: int, config: SamplingConfig, draw: Choose):
    """The released code draws from the whole vocabulary, so K is V here."""
    prompt = Prompt(cond_tokens, null_tokens=cond_tokens)
    return generate(gpt, prompt, length, gpt.sizes.vocab_size, config, draw)


def greedily(gpt: GPT, cond_tokens: Tensor, length: int) -> Tensor:
    return sample(gpt, cond_tokens, length, GREEDY, lambda rows, step: rows.argmax(1))


def test_shape_follows_from_the_tensors(gpt):
    assert (gpt.config, gpt.sizes) == (TINY, SIZES)


def test_logits_and_loss(gpt, oracle):
    logits = gpt.logits(oracle["in.idx"])
    torch.testing.assert_close(logits, oracle["out.logits"], rtol=1e-4, atol=1e-4)
    loss = nats_per_token(logits, oracle["in.targets"]).mean()
    torch.testing.assert_close(loss, oracle["out.loss"])


def test_gradients(gpt, oracle):
    nats_per_token(gpt.logits(oracle["in.idx"]), oracle["in.targets"]).mean().backward()
    width = gpt.config.width
    key_rows = slice(width, 2 * width)
    ours = {
        "blocks.0.attn.key.weight": gpt.blocks[0].attention.qkv.weight.grad[key_rows],
        "blocks.1.ln2.weight": gpt.blocks[1].mlp_norm.weight.grad,
        "blocks.1.mlp.0.weight": gpt.blocks[1].mlp.expand.weight.grad,
        "head.weight": gpt.head.weight.grad,
        "pos_emb": gpt.position_embedding.grad.unsqueeze(0),
        "tok_emb.weight": gpt.token_embedding.weight.grad,
    }
    assert ours.keys() == below(oracle, "grad.").keys()
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, oracle[f"grad.{name}"], rtol=1e-4, atol=1e-5)


def test_greedy_tokens(gpt, oracle):
    assert torch.equal(greedily(gpt, oracle["in.cond"], 31), oracle["out.greedy_31"])


def test_greedy_tokens_after_a_longer_start(gpt, oracle):
    start = oracle["in.start10"]
    before = torch.cat([oracle["in.cond"], start], dim=1)
    tokens = torch.cat([start, greedily(gpt, before, 21)], dim=1)
    assert torch.equal(tokens, oracle["out.greedy_from_start10_21"])


def test_top_1_equals_greedy(gpt, oracle):
    tokens = sample(gpt, oracle["in.cond"], 31, SamplingConfig(top_k=1), multinomial)
    assert torch.equal(tokens, oracle["out.topk1_sampled_31"])


def test_seeded_samples_of_torch_multinomial(gpt, oracle):
    config = SamplingConfig(temperature=0.9, top_k=5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1234)
        tokens = sample(gpt, oracle["in.cond"], 31, config, multinomial)
    assert torch.equal(tokens, oracle["out.sampled_seed1234_T0.9_topk5_31"])


def test_top_k_without_ties(oracle):
    kept = keep_top_k(oracle["in.topk_logits"], 5)
    assert torch.equal(kept, oracle["out.topk_logits_k5"])


def test_top_k_keeps_k_of_what_the_released_code_keeps_on_ties(oracle):
    ours = keep_top_k(oracle["in.topk_ties"], 2).isfinite()
    released = oracle["out.topk_ties_k2"].isfinite()
    assert (ours.sum(1) == 2).all()
    assert (released.sum(1) > 2).any()
    assert not (ours & ~released).any()


def test_unconditional_sequences_of_the_whole_model(oracle_tensors):
    """Start token, layout and row-major order together: the released two-stage model's numbers."""
    oracle = oracle_tensors("net2net_tiny")
    gpt = import_gpt(below(oracle, "sd."), heads=2)
    layout = Layout(codebook_size=32, cond_length=1, cond_vocab_size=1, image_length=64)
    codes = oracle["uncond.z_indices"].view(2, 8, 8)
    start = torch.zeros(2, 1, dtype=torch.int64)

    sequence = layout.join(start, RowMajor(8, 8).to_tokens(codes))
    logits = layout.image_logits(gpt.logits(sequence.tokens))
    greedy = greedily(gpt, layout.shift(start), 64).clamp(max=31)

    assert torch.equal(sequence.targets, oracle["uncond.target"].view(2, 64))
    torch.testing.assert_close(logits, oracle["uncond.logits"], rtol=1e-4, atol=1e-4)
    loss = nats_per_token(logits, sequence.targets).mean()
    torch.testing.assert_close(loss, oracle["uncond.loss"])
    assert torch.equal(greedy, oracle["uncond.greedy_64_clamped31"])


def test_every_weight_of_ours_gets_a_released_one(oracle):
    ours = GPT(TINY, SIZES).state_dict()
    named = name_gpt(below(oracle, "sd."))
    assert {k: v.shape for k, v in named.items()} == {k: v.shape for k, v in ours.items()}


def test_unknown_name_is_named(oracle):
    tensors = below(oracle, "sd.") | {"lora.weight": torch.zeros(1)}
    with pytest.raises(InputError, match=r"'lora.weight' is no weight"):
        import_gpt(tensors, heads=2)


@pytest.mark.parametrize(
    ("missing", "reason"),
    [("ln_f.bias", r"norm\.bias"), ("blocks.1.attn.key.weight", r"blocks\.1\.attn\.key\.weight")],
)
def test_missing_weight_is_named(oracle, missing, reason):
    tensors = below(oracle, "sd.")
    del tensors[missing]
    with pytest.raises(InputError, match=f"not a whole GPT.*{reason}"):
        import_gpt(tensors, heads=2)


def test_heads_that_do_not_divide_the_width_are_refused(oracle):
    with pytest.raises(InputError, match="width 32 is not a multiple of heads 3"):
        import_gpt(below(oracle, "sd."), heads=3)

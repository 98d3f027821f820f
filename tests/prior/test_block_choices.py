"""The choices of a transformer's blocks, each against what it is defined as."""

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from smalti.prior.base import GridSizes
from smalti.prior.block import MLP, SwiGLU, build_norm, modulated
from smalti.prior.gpt.config import GPT2Config, GPTConfig, of_former_file
from smalti.prior.gpt.model import GPT
from smalti.weights import count_parameters

SIZES = GridSizes(11, 9, 1, 3, 3)
SHAPE = {"layers": 2, "heads": 4, "width": 32, "dropout": 0}
PAPERS = {"norm": "layer", "mlp": "gelu", "query_key_norm": False, "positions": "learned"}


@pytest.fixture
def tokens(generator) -> Tensor:
    return torch.randint(11, (3, 9), generator=generator)


def drawn(gpt: GPT, generator: torch.Generator) -> GPT:
    with torch.no_grad():
        for weight in gpt.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)
    return gpt.eval()


def test_with_the_papers_choices_it_is_the_papers_transformer(generator, tokens):
    papers = drawn(GPT(GPT2Config(**SHAPE), SIZES), generator)
    chosen = GPT(GPTConfig(**SHAPE, **PAPERS), SIZES).eval()
    chosen.load_state_dict(papers.state_dict())
    assert torch.equal(chosen.logits(tokens), papers.logits(tokens))


def test_rms_norm_divides_by_the_root_of_the_mean_square(generator):
    x = torch.randn(3, 32, generator=generator)
    expected = x / x.square().mean(-1, keepdim=True).add(1e-6).sqrt()
    torch.testing.assert_close(build_norm("rms", 32)(x), expected)


def test_swiglu_gates_one_half_with_the_other(generator):
    x = torch.randn(3, 8, generator=generator)
    gate, value = x.chunk(2, dim=-1)
    torch.testing.assert_close(SwiGLU.activate(x), gate * torch.sigmoid(gate) * value)


@pytest.mark.parametrize("width", [24, 64, 256, 768])
def test_swiglu_has_about_as_many_weights(width):
    assert count_parameters(SwiGLU(width)) == pytest.approx(count_parameters(MLP(width)), rel=0.05)


def test_normalised_queries_and_keys_do_not_grow(generator, tokens):
    """Scaling the projection of queries and keys changes nothing but rounding."""
    gpt = drawn(GPT(GPTConfig(**SHAPE, **PAPERS | {"query_key_norm": True}), SIZES), generator)
    before = gpt.logits(tokens)
    with torch.no_grad():
        for block in gpt.blocks:
            block.attention.qkv.weight[:64] *= 8
            block.attention.qkv.bias[:64] *= 8
    torch.testing.assert_close(gpt.logits(tokens), before, rtol=1e-3, atol=1e-4)


def test_last_position_alone_is_that_of_all(generator, tokens):
    gpt = drawn(GPT(GPTConfig(**SHAPE, kv_heads=2), SIZES), generator)
    last = gpt.logits(tokens, last_only=True)
    torch.testing.assert_close(last, gpt.logits(tokens)[:, -1:])


def test_shared_keys_are_those_of_several_equal_heads(generator, tokens):
    shared = drawn(GPT(GPTConfig(**SHAPE, **PAPERS, kv_heads=2), SIZES), generator)
    separate = GPT(GPTConfig(**SHAPE, **PAPERS), SIZES).eval()
    state = shared.state_dict()
    for name in [name for name in state if ".qkv." in name]:
        q, k, v = state[name].split([32, 16, 16])
        kv = (part.unflatten(0, (2, 8)).repeat_interleave(2, 0).flatten(0, 1) for part in (k, v))
        state[name] = torch.cat([q, *kv])
    separate.load_state_dict(state)
    torch.testing.assert_close(shared.logits(tokens), separate.logits(tokens))
    assert shared.new_cache(1).nbytes == separate.new_cache(1).nbytes / 2


def test_a_class_changes_nothing_at_first_and_all_positions_later(generator, tokens):
    gpt = GPT(GPTConfig(**SHAPE, class_by="norm"), SIZES).eval()
    state = gpt.state_dict()
    without = GPT(GPTConfig(**SHAPE), SIZES).eval()
    without.load_state_dict({k: v for k, v in state.items() if "modulation" not in k})
    torch.testing.assert_close(gpt.logits(tokens), without.logits(tokens))
    torch.nn.init.normal_(gpt.modulation.of_all.weight, generator=generator)
    moved = (gpt.logits(tokens) - without.logits(tokens)).abs().amax((0, 2))
    assert (moved > 1e-3).all()


def test_modulation_scales_then_shifts():
    x = torch.tensor([[[3.0, 5.0]]])
    modulation = torch.tensor([[[0.0, 1.0], [10.0, 20.0], [1.0, 1.0], [0.0, 0.0]]])
    assert modulated(x, modulation, 0).tolist() == [[[13.0, 30.0]]]
    assert modulated(x, modulation, 1).tolist() == [[[6.0, 10.0]]]
    assert modulated(x[:, 0], modulation, 0).tolist() == [[13.0, 30.0]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kv_heads": 3}, "heads 4 is not a multiple of kv-heads 3"),
        ({"width": 16}, "width 16 with heads 4 gives 4 channels a head; rotary positions need a"),
        ({"norm": "batch"}, "norm"),
    ],
)
def test_impossible_choices_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        GPTConfig(**SHAPE | changes)


def test_other_positions_take_any_width():
    assert GPTConfig(**SHAPE | {"width": 16}, positions="learned").width == 16


def test_gpt_of_former_files_is_the_papers():
    former = {"kind": "gpt", "layers": 2, "heads": 4, "width": 32, "dropout": 0}
    assert of_former_file(former)["kind"] == "gpt2"
    new = GPTConfig(**SHAPE).model_dump()
    assert of_former_file(new) == new
    assert of_former_file({"kind": "gpt", "width": 32})["kind"] == "gpt"  # a user's, of today
    snail = {"kind": "pixelsnail", "width": 8}
    assert of_former_file(snail) == snail

"""Random orders of the codes in the training of a prior."""

import pytest
import torch
from torch import Tensor

from smalti.compute import Compute
from smalti.conditions.conditioning import Conditioning
from smalti.conditions.none import Unconditional, UnconditionalConfig
from smalti.prior.base import GridSizes, MapTokens
from smalti.prior.gpt.config import GPTConfig
from smalti.prior.gpt.model import GPT
from smalti.sequence.layout import Layout
from smalti.sequence.ordering import ORDERINGS
from smalti.training.config import OptimizerConfig
from smalti.training.ema import EMA
from smalti.training.optim import ScheduledAdamW
from smalti.training.prior.code_batch import CodeBatch
from smalti.training.prior.step import PriorState, PriorStepConfig, RandomOrders, prior_step

SIZES = GridSizes(11, 10, 5, 2, 3, maps=(MapTokens(1, 2, 2),))
CELLS = 6


@pytest.fixture(params=["learned", "rotary"])
def gpt(request, generator) -> GPT:
    shape = {"layers": 2, "heads": 2, "width": 16, "dropout": 0}
    gpt = GPT(GPTConfig(**shape, positions=request.param, target_positions=True), SIZES)
    with torch.no_grad():
        for weight in gpt.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    return gpt.eval()


@pytest.fixture
def tokens(generator) -> Tensor:
    return torch.randint(11, (3, 5 + CELLS), generator=generator)


def in_order(tokens: Tensor, order: Tensor) -> Tensor:
    """What is read of a sequence whose image tokens stand in another order."""
    return torch.cat([tokens[:, :5], tokens[:, 5:].gather(1, order)[:, :-1]], dim=1)


def test_the_usual_order_changes_nothing(gpt, tokens):
    usual = torch.arange(CELLS).expand(3, -1)
    found = gpt(tokens[:, :-1], usual)
    torch.testing.assert_close(found, gpt.logits(tokens[:, :-1]))


def test_a_code_is_predicted_from_the_same_codes_in_any_order_of_them(gpt, tokens):
    """With one block and without targets, only the last of the codes before has a place of its own.

    Each code has the position and the rotation of its cell, wherever it stands.
    """
    del gpt.blocks[1:]
    torch.nn.init.zeros_(gpt.target_embedding)
    one, other = torch.tensor([[3, 0, 5, 1, 2, 4]]), torch.tensor([[0, 3, 5, 1, 2, 4]])
    found = [gpt(in_order(tokens[:1], order), order)[:, 5 + 2 :] for order in (one, other)]
    torch.testing.assert_close(*found)


def test_what_is_predicted_depends_on_its_place(gpt, tokens):
    one, other = torch.tensor([[3, 0, 5, 1, 2, 4]]), torch.tensor([[3, 0, 5, 2, 1, 4]])
    found = [gpt(in_order(tokens[:1], order), order)[:, 5 + 2] for order in (one, other)]
    assert not torch.allclose(*found)


def test_no_position_sees_a_later_token_in_any_order(gpt, tokens):
    order = torch.tensor([[5, 2, 0, 1, 4, 3]]).expand(3, -1)
    before = gpt(in_order(tokens, order), order)
    changed = tokens.clone()
    changed[:, 5 + 1] = (changed[:, 5 + 1] + 1) % 11  # it is the fourth that is read
    after = gpt(in_order(changed, order), order)
    torch.testing.assert_close(after[:, : 5 + 3], before[:, : 5 + 3])
    assert not torch.allclose(after[:, 5 + 3], before[:, 5 + 3])


def test_the_cache_computes_the_same(gpt, tokens):
    tokens = tokens[:, :-1]
    cache = gpt.new_cache(3)
    parts = [gpt.logits(part, cache) for part in tokens.split([5, 1, 1, 2, 1], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), gpt.logits(tokens), rtol=0, atol=1e-4)


def test_the_share_falls_in_a_line():
    orders = RandomOrders(all_until=10, none_from=30)
    assert [orders.share(step) for step in (0, 9, 10, 15, 20, 29, 30, 99)] == pytest.approx(
        [1, 1, 1, 0.75, 0.5, 0.05, 0, 0]
    )
    assert RandomOrders(10, 10).share(9) == 1
    assert RandomOrders(10, 10).share(10) == 0


def test_drawn_orders_are_permutations_and_a_share_is_random(generator):
    drawn = RandomOrders(0, 100).draw(400, CELLS, 75, generator)
    assert torch.equal(drawn.sort(1).values, torch.arange(CELLS).expand(400, -1))
    is_usual = (drawn == torch.arange(CELLS)).all(1)
    assert 0.65 < float(is_usual.float().mean()) < 0.85


def codes_in_a_row() -> CodeBatch:
    """Eight images whose codes tell their cells, without a condition."""
    codes = torch.arange(CELLS).view(1, 2, 3).expand(8, -1, -1)
    return CodeBatch([str(i) for i in range(8)], codes, {"none": torch.zeros(8, 0)})


def step_state(config: PriorStepConfig) -> PriorState:
    sizes = GridSizes(CELLS + 1, CELLS, 1, 2, 3)
    shape = {"layers": 1, "heads": 2, "width": 16, "dropout": 0}
    prior = GPT(GPTConfig(**shape, target_positions=True), sizes)
    optimizer = ScheduledAdamW(prior, OptimizerConfig(), 100)
    cpu = Compute(torch.device("cpu"), torch.float32)
    return PriorState(prior, prior, EMA(prior, 0.5), optimizer, cpu)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_step_reads_each_image_in_its_order_until_there_are_none(parts):
    config = PriorStepConfig(
        layout=Layout(CELLS, 1, 1, CELLS),
        ordering=ORDERINGS["row_major"](2, 3),
        conditioning=Conditioning([Unconditional(UnconditionalConfig())]),
        condition_drop=0.0,
        accumulation_steps=parts,
        random_orders=RandomOrders(all_until=1, none_from=1),
    )
    state, read = step_state(config), []
    state.prior.register_forward_pre_hook(lambda _module, inputs: read.append(inputs))
    prior_step(state, codes_in_a_row(), config)
    tokens, order = (torch.cat(parts) for parts in zip(*read, strict=True))
    assert torch.equal(tokens[:, 1:], order[:, :-1])  # a code is the number of its cell
    assert len(order.unique(dim=0)) > 4
    read.clear()
    prior_step(state, codes_in_a_row(), config)
    assert [len(inputs) for inputs in read] == [1] * parts
    assert torch.equal(read[0][0][0, 1:], torch.arange(CELLS - 1))

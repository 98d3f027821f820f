"""One step of stage 2: what the prior learns from, and that it learns."""

import math

import pytest
import torch
from torch import Tensor

from smalti.compute import Compute
from smalti.conditions.class_label import ClassLabel, ClassLabelConfig
from smalti.conditions.conditioning import Conditioning, draw_present
from smalti.prior.base import SequenceSizes
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT
from smalti.sequence.layout import Layout
from smalti.sequence.ordering import ORDERINGS
from smalti.training.config import OptimizerConfig
from smalti.training.ema import EMA
from smalti.training.optim import ScheduledAdamW
from smalti.training.prior.code_batch import CodeBatch
from smalti.training.prior.step import PriorState, PriorStepConfig, corrupt, prior_step

K, CLASSES, HEIGHT, WIDTH = 16, 3, 3, 2
LENGTH = HEIGHT * WIDTH
NULL = K + CLASSES  # "any class", in the joint vocabulary


CONSTANT = OptimizerConfig(learning_rate=1e-2, warmup_steps=0, weight_decay=0.0)


def step_config(
    condition_drop: float = 0.0, parts: int = 1, token_keep: float = 1.0
) -> PriorStepConfig:
    return PriorStepConfig(
        layout=Layout(K, 1, CLASSES + 1, LENGTH),
        ordering=ORDERINGS["row_major"](HEIGHT, WIDTH),
        conditioning=Conditioning(
            [ClassLabel(ClassLabelConfig(class_names=("cat", "dog", "pig")))]
        ),
        condition_drop=condition_drop,
        accumulation_steps=parts,
        token_keep=token_keep,
    )


def new_state(
    config: PriorStepConfig,
    dropout: float = 0.0,
    optimizer: OptimizerConfig = CONSTANT,
    steps: int = 100,
) -> PriorState:
    """The same weights at every call."""
    shape = {"layers": 2, "heads": 2, "width": 32, "dropout": dropout}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vocab_size = config.layout.vocab_size
        prior = GPT(GPT2Config(**shape), SequenceSizes(vocab_size, LENGTH))
    compute = Compute(torch.device("cpu"), torch.float32)
    adam = ScheduledAdamW(prior, optimizer, steps)
    return PriorState(prior, prior, EMA(prior, 0.5), adam, compute)


def keep_tokens(state: PriorState) -> list[Tensor]:
    """Filled with what the prior reads."""
    read: list[Tensor] = []
    state.prior.register_forward_pre_hook(lambda _module, inputs: read.append(inputs[0]))
    return read


def gradients_of(state: PriorState) -> dict[str, Tensor]:
    """Filled with the gradients that the optimizer gets at its next step."""
    kept: dict[str, Tensor] = {}

    def keep(*_: object) -> None:
        kept.update({name: p.grad.clone() for name, p in state.prior.named_parameters()})

    state.optimizer.register_step_pre_hook(keep)
    return kept


@pytest.fixture
def batch(generator) -> CodeBatch:
    codes = torch.randint(K, (8, HEIGHT, WIDTH), generator=generator)
    labels = torch.randint(CLASSES, (8,), generator=generator)
    return CodeBatch([f"{i}.png" for i in range(8)], codes, {"class": labels})


def classes_of(batch: CodeBatch) -> Tensor:
    return batch.conditions["class"]


def test_first_loss_is_near_that_of_knowing_nothing(batch):
    config = step_config()
    loss = prior_step(new_state(config), batch, config)["nll"]
    assert float(loss) == pytest.approx(math.log(config.layout.vocab_size), abs=0.1)


def test_overfits_eight_images(batch):
    """Down to what no prior can know: which of the images of a class it is."""
    config = step_config()
    state = new_state(config, steps=80)
    losses = [float(prior_step(state, batch, config)["nll"]) for _ in range(80)]
    images_of_class = classes_of(batch).bincount()[classes_of(batch)]
    floor = float(images_of_class.log().mean()) / LENGTH
    assert floor < losses[-1] < floor + 0.05 < 2.5 < losses[0]


def test_loss_is_on_the_image_part_only(batch):
    """By hand: the mean over the codes of minus the log-probability each had."""
    config = step_config()
    state = new_state(config)
    with torch.no_grad():
        tokens = torch.cat([K + classes_of(batch)[:, None], batch.codes.flatten(1)], dim=1)
        chances = state.prior(tokens[:, :-1]).log_softmax(-1)
    expected = -chances.gather(2, batch.codes.flatten(1)[..., None]).mean()
    torch.testing.assert_close(prior_step(state, batch, config)["nll"], expected)


@pytest.mark.parametrize("count", [8, 7])
def test_parts_of_a_batch_equal_the_whole(batch, count):
    batch = CodeBatch(batch.keys[:count], batch.codes[:count], {"class": classes_of(batch)[:count]})
    results = []
    for parts in (1, 3):
        config = step_config(parts=parts)
        state = new_state(config)
        gradients = gradients_of(state)
        scalars = prior_step(state, batch, config)
        results.append((scalars, gradients))
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-6)


def test_condition_is_read_where_none_is_dropped(batch):
    config = step_config(condition_drop=0.0)
    state = new_state(config)
    read = keep_tokens(state)
    prior_step(state, batch, config)
    assert torch.equal(read[0][:, 0], K + classes_of(batch))


def test_no_condition_is_read_where_all_are_dropped(batch):
    config = step_config(condition_drop=1.0)
    state = new_state(config)
    read = keep_tokens(state)
    prior_step(state, batch, config)
    assert read[0][:, 0].tolist() == [NULL] * 8
    assert torch.equal(read[0][:, 1:], batch.codes.flatten(1)[:, :-1])


def test_what_is_dropped_follows_the_seed_of_the_step(batch):
    config = step_config(condition_drop=0.5)
    dropped = []
    for seed in (1, 1, 2):
        state = new_state(config)
        read = keep_tokens(state)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            prior_step(state, batch, config)
        dropped.append((read[0][:, 0] == NULL).tolist())
    assert dropped[0] == dropped[1] != dropped[2]
    assert 0 < sum(dropped[0]) < 8


def test_evaluation_drops_and_replaces_nothing(batch):
    sequence = step_config(condition_drop=1.0, token_keep=0.1).sequence(batch)
    assert torch.equal(sequence.tokens[:, 0], K + classes_of(batch))
    assert torch.equal(sequence.tokens[:, 1:], batch.codes.flatten(1)[:, :-1])


# Random codes among those that are read


def test_share_that_is_replaced_is_what_is_not_kept_and_any_code_comes(generator):
    layout = Layout(K, 2, CLASSES, 101)
    tokens = torch.full((500, 102), 5)
    read = corrupt(tokens, layout, 0.7, generator)
    # One in K of the random codes is what was there before.
    changed = (read[:, 2:] != 5).float().mean()
    assert float(changed) == pytest.approx(0.3 * (K - 1) / K, abs=0.01)
    counts = read[:, 2:][read[:, 2:] != 5].bincount(minlength=K)
    assert counts.shape == (K,)
    others = counts[torch.arange(K) != 5].float()
    torch.testing.assert_close(others, others.mean().expand(K - 1), rtol=0.15, atol=0.0)
    assert bool((read[:, :2] == 5).all())


def test_targets_and_conditions_are_not_replaced(batch):
    config = step_config(token_keep=0.01)
    sequence = config.sequence(batch, torch.Generator().manual_seed(0))
    assert torch.equal(sequence.targets, batch.codes.flatten(1))
    assert torch.equal(sequence.tokens[:, 0], K + classes_of(batch))
    unchanged = sequence.tokens[:, 1:] == batch.codes.flatten(1)[:, :-1]
    assert float(unchanged.float().mean()) < 0.3


def test_what_is_replaced_follows_the_seed_and_changes_nothing_of_what_is_dropped(batch):
    config = step_config(condition_drop=0.5, token_keep=0.5)
    first, again, other = (
        config.sequence(batch, torch.Generator().manual_seed(seed)).tokens for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first[:, 1:], other[:, 1:])
    kept = step_config(condition_drop=0.5).sequence(batch, torch.Generator().manual_seed(1))
    assert torch.equal(first[:, 0], kept.tokens[:, 0])


def test_prior_reads_what_was_replaced_and_learns_the_codes(batch):
    config = step_config(token_keep=0.5)
    state = new_state(config)
    read = keep_tokens(state)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        nll = prior_step(state, batch, config)["nll"]
        expected = config.sequence(batch, torch.Generator().manual_seed(1))
    assert torch.equal(read[0], expected.tokens)
    with torch.no_grad():
        chances = new_state(config).prior(read[0]).log_softmax(-1)
    by_hand = -chances.gather(2, batch.codes.flatten(1)[..., None]).mean()
    torch.testing.assert_close(nll, by_hand)


def test_keeping_all_draws_nothing(batch):
    """So a run that keeps all is what it was before there was a choice, dropout included."""
    config = step_config(condition_drop=0.5, token_keep=1.0)
    used, expected = (torch.Generator().manual_seed(3) for _ in range(2))
    config.sequence(batch, used)
    draw_present(len(batch.codes), 1, 0.5, expected)
    assert torch.equal(used.get_state(), expected.get_state())


def test_scalars_carry_no_graph_no_gradient_is_left_and_the_step_counts(batch):
    config = step_config()
    state = new_state(config)
    scalars = prior_step(state, batch, config)
    assert not any(value.requires_grad for value in scalars.values())
    assert all(parameter.grad is None for parameter in state.prior.parameters())
    assert state.step == 1


@pytest.mark.parametrize(
    ("step", "share"),
    [(0, 0.25), (3, 1.0), (12, 0.55), (20, 0.1)],  # up in 4 steps, then half a cosine down to 20
)
def test_learning_rate_follows_the_schedule(batch, step, share):
    schedule = OptimizerConfig(learning_rate=1e-3, warmup_steps=4, final_factor=0.1)
    config = step_config()
    state = new_state(config, optimizer=schedule, steps=20)
    state.step = step
    prior_step(state, batch, config)
    rates = [group["lr"] for group in state.optimizer.param_groups]
    assert rates == [pytest.approx(share * 1e-3)] * 2


def test_gradients_are_clipped_to_the_norm_asked_for(batch):
    config = step_config()
    state = new_state(config, optimizer=OptimizerConfig(clip_norm=0.01))
    gradients = gradients_of(state)
    norm = prior_step(state, batch, config)["gradient_norm"]
    clipped = torch.cat([gradient.flatten() for gradient in gradients.values()]).norm()
    assert norm > 0.01
    assert clipped.item() == pytest.approx(0.01, rel=1e-3)


def test_average_follows_the_weights(batch):
    config = step_config()
    state = new_state(config)
    start = next(state.prior.parameters()).detach().clone()
    prior_step(state, batch, config)
    now = next(state.prior.parameters()).detach()
    # The decay of step 0 is (1 + 0) / (10 + 0).
    torch.testing.assert_close(next(state.average.model.parameters()), 0.1 * start + 0.9 * now)

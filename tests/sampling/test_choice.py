import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smalti.sampling.choice import RacingChoice, invert_cdf, seeded_choice

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("uniform", "code"), [(0.0, 1), (0.24, 1), (0.26, 3), (0.74, 3), (0.76, 4), (1 - 2**-24, 4)]
)
def test_code_is_where_the_cumulative_probability_passes_the_number(uniform, code):
    rows = torch.tensor([[0, 0.25, 0, 0.5, 0.25, 0]])
    assert invert_cdf(rows, torch.tensor([[uniform]])).tolist() == [code]


@given(
    weights=st.lists(st.sampled_from([0.0, 1e-30, 1e-8, 0.3, 1.0]), min_size=1, max_size=40),
    uniform=st.floats(0, 1 - 2**-24, width=32),
)
def test_impossible_code_is_never_drawn(weights, uniform):
    rows = torch.tensor([[*weights, 1.0, 0.0]])
    rows = rows / rows.sum()
    (code,) = invert_cdf(rows, torch.tensor([[uniform]])).tolist()
    assert rows[0, code] > 0


def test_codes_come_as_often_as_their_probability_says():
    rows = torch.tensor([[0.1, 0.0, 0.6, 0.3]])
    uniforms = (torch.arange(1000) / 1000).unsqueeze(1)
    codes = invert_cdf(rows.expand(1000, -1), uniforms)
    assert codes.bincount(minlength=4).tolist() == pytest.approx([100, 0, 600, 300], abs=1)


def draws(seed: int, images: list[int]) -> torch.Tensor:
    """Tokens (images, 30) of a fixed even distribution over 50 codes."""
    draw = seeded_choice(seed, images, 30, CPU)
    even = torch.full((len(images), 50), 1 / 50)
    return torch.stack([draw(even, step) for step in range(30)], dim=1)


def test_image_does_not_depend_on_its_batch():
    together = draws(7, [0, 1, 2, 3])
    apart = torch.cat([draws(7, [0]), draws(7, [1, 2]), draws(7, [3])])
    assert torch.equal(together, apart)


def test_images_and_seeds_differ():
    rows = torch.cat([draws(7, [0, 1]), draws(8, [0, 1])])
    assert len(rows.unique(dim=0)) == 4


def test_global_randomness_is_neither_used_nor_changed():
    before = torch.random.get_rng_state()
    draws(7, [0])
    assert torch.equal(torch.random.get_rng_state(), before)


def race(seed: int, images: list[int], rows: torch.Tensor, steps: int) -> torch.Tensor:
    """Tokens (images, steps) that a race draws from the same probabilities (K,) at every step."""
    chances = rows.expand(len(images), steps, -1)
    return RacingChoice(seed, images, len(rows), CPU).several(chances, 0)


def test_race_takes_codes_as_often_as_their_probability_says():
    rows = torch.tensor([0.1, 0.0, 0.6, 0.3])
    counts = race(0, [0, 1, 2, 3], rows, 1000).flatten().bincount(minlength=4)
    assert counts.tolist() == pytest.approx([400, 0, 2400, 1200], abs=100)  # about 3 deviations
    assert counts[1] == 0


def test_race_of_an_image_depends_on_neither_batch_nor_order():
    even = torch.full((50,), 1 / 50)
    together = race(7, [0, 1, 2, 3], even, 30)
    apart = torch.cat([race(7, [0], even, 30), race(7, [1, 2, 3], even, 30)])
    assert torch.equal(together, apart)
    alone = RacingChoice(7, [2], 50, CPU)
    backwards = [int(alone(even[None], step)) for step in reversed(range(30))]
    assert backwards[::-1] == together[2].tolist()
    assert len(torch.cat([together, race(8, [0, 1], even, 30)]).unique(dim=0)) == 6


def test_race_repeats_a_step_however_many_came_between(monkeypatch):
    monkeypatch.setattr("smalti.sampling.choice.KEPT_STEPS", 2)
    even, choose = torch.full((1, 50), 1 / 50), RacingChoice(0, [0], 50, CPU)
    first = [int(choose(even, step)) for step in range(6)]
    assert [int(choose(even, step)) for step in range(6)] == first


def test_races_by_similar_probabilities_mostly_agree(generator):
    logits = torch.randn(100, generator=generator)
    one = logits.softmax(0)
    other = (logits + 0.3 * torch.randn(100, generator=generator)).softmax(0)
    distance = float((one - other).abs().sum() / 2)
    agreement = race(0, [0, 1], one, 1000) == race(0, [0, 1], other, 1000)
    assert agreement.float().mean() > (1 - distance) / (1 + distance) - 0.03

import pytest
import torch
from pydantic import ValidationError

from smalti.sampling.config import SamplingConfig
from smalti.sampling.filters import keep_top_k, keep_top_p, probabilities


@pytest.fixture
def logits(generator) -> torch.Tensor:
    return torch.randn(64, 20, generator=generator)


@pytest.mark.parametrize("top_k", [1, 2, 5, 20])
def test_top_k_keeps_exactly_k_on_ties(top_k):
    kept = keep_top_k(torch.zeros(3, 20), top_k).isfinite()
    assert kept.sum(1).tolist() == [top_k] * 3


def test_top_k_keeps_the_highest_unchanged(logits):
    kept = keep_top_k(logits, 3)
    for row, before in zip(kept, logits, strict=True):
        highest = before.sort(descending=True).values[:3]
        assert torch.equal(row[row.isfinite()].sort(descending=True).values, highest)


@pytest.mark.parametrize("top_k", [0, 20, 21, 10**9])
def test_top_k_of_0_or_of_all_codes_is_off(logits, top_k):
    assert torch.equal(keep_top_k(logits, top_k), logits)


@pytest.mark.parametrize(
    ("top_p", "expected"),
    [
        (1.0, [0.1, 0.4, 0.2, 0.3]),
        (0.95, [0.1, 0.4, 0.2, 0.3]),
        (0.85, [0, 4 / 9, 2 / 9, 3 / 9]),
        (0.6, [0, 4 / 7, 0, 3 / 7]),
        (0.4, [0, 1, 0, 0]),
        (0.01, [0, 1, 0, 0]),
    ],
)
def test_top_p_keeps_the_fewest_codes_that_reach_p(top_p, expected):
    kept = keep_top_p(torch.tensor([[0.1, 0.4, 0.2, 0.3]]), top_p)
    torch.testing.assert_close(kept, torch.tensor([expected], dtype=torch.float32))


def test_probabilities_are_the_softmax_when_all_is_off(logits):
    config = SamplingConfig(temperature=1, top_k=0, top_p=1)
    torch.testing.assert_close(probabilities(logits, config), logits.softmax(1))


def test_temperature_divides_the_logits(logits):
    config = SamplingConfig(temperature=0.5, top_k=0)
    torch.testing.assert_close(probabilities(logits, config), (2 * logits).softmax(1))


LOG_CHANCES = torch.tensor([[0.5, 0.25, 0.15, 0.1]]).log()


def test_top_p_counts_what_top_k_left():
    """Of 0.5 and 0.25 alone the first has 2/3, which is enough for 0.6; of all four it has not."""
    rows = probabilities(LOG_CHANCES, SamplingConfig(top_k=2, top_p=0.6))
    assert rows.tolist() == [[1, 0, 0, 0]]


def test_top_p_counts_what_the_temperature_made():
    """Squared, 0.5 has 0.25 of 0.345, which is enough for 0.7; as it is, it has not."""
    rows = probabilities(LOG_CHANCES, SamplingConfig(temperature=0.5, top_k=0, top_p=0.7))
    assert rows.tolist() == [[1, 0, 0, 0]]


def test_top_k_and_top_p_are_those_asked_for():
    """0.5, 0.25 and 0.15 are left by top-k; the first two have 0.83 of these."""
    kept = probabilities(LOG_CHANCES, SamplingConfig(top_k=3))
    torch.testing.assert_close(kept, torch.tensor([[5 / 9, 2.5 / 9, 1.5 / 9, 0]]))
    fewer = probabilities(LOG_CHANCES, SamplingConfig(top_k=3, top_p=0.8))
    torch.testing.assert_close(fewer, torch.tensor([[2 / 3, 1 / 3, 0, 0]]))


@pytest.mark.parametrize("temperature", [0, 1e-30, 1e-7, 1e-5])
def test_lowest_temperatures_are_certain_of_the_likeliest_code(logits, temperature):
    config = SamplingConfig(temperature=temperature)
    certain = torch.nn.functional.one_hot(logits.argmax(1), 20).float()
    torch.testing.assert_close(probabilities(logits, config), certain)


def test_half_precision_logits_give_float32_probabilities(logits):
    rows = probabilities(logits.bfloat16(), SamplingConfig(top_k=5, top_p=0.9))
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows.sum(1), torch.ones(64))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("top_k", -1),
        ("top_k", 2.5),
        ("top_p", 0),
        ("top_p", 1.1),
        ("guidance", -1),
        ("guidance", (2, float("inf"))),
        ("guidance", ()),
        ("guidance_schedule", "linear"),
    ],
)
def test_values_without_a_meaning_are_refused(field, value):
    with pytest.raises(ValidationError, match=field):
        SamplingConfig(**{field: value})


@pytest.mark.parametrize(("given", "scales"), [(2, (2,)), (1.5, (1.5,)), ([3, 0], (3, 0))])
def test_guidance_is_one_scale_or_several(given, scales):
    assert SamplingConfig(guidance=given).guidance == scales

import pytest
import torch

from smalti.config import InputError
from smalti.sampling.config import SamplingConfig
from smalti.sampling.guidance import Guidance, build_guidance

TWO = ("class", "segmentation")


def build(kinds=TWO, drop=0.1, **config) -> Guidance:
    return build_guidance(SamplingConfig(**config), kinds, drop)


@pytest.mark.parametrize(
    ("scales", "weights"),
    [
        ((1, 1), {2: 1}),
        ((3, 3), {2: 3, 0: -2}),
        ((3, 1), {2: 1, 1: 2, 0: -2}),
        ((1, 3), {2: 3, 1: -2}),
        ((2, 5), {2: 5, 1: -3, 0: -1}),
        ((0, 0), {0: 1}),
        ((1, 0), {1: 1}),
        ((4, 0), {1: 4, 0: -3}),
        ((), {0: 1}),
    ],
)
def test_only_prefixes_that_count_are_computed(scales, weights):
    guidance = Guidance(scales)
    assert dict(zip(guidance.prefixes, guidance.weights(0.3), strict=True)) == weights
    assert guidance.prefixes == tuple(sorted(weights, reverse=True))


@pytest.mark.parametrize("scales", [(2.0,), (0.5,), (2.0, 5.0), (1.5, 1.5, 0.0)])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("progress", [0.0, 0.25, 0.9, 1.0])
def test_each_condition_is_pushed_from_what_was_without_it(scales, schedule, progress, generator):
    """The formula as the paper writes it: logits of none, then a scaled step for each condition."""
    guidance = Guidance(scales, schedule)
    said = torch.randn(len(scales) + 1, 2, 5, generator=generator)  # by number of conditions said
    expected = said[0].clone()
    for number, scale in enumerate(guidance.scales_at(progress), start=1):
        expected += scale * (said[number] - said[number - 1])
    rows = said[list(guidance.prefixes)].flatten(0, 1)
    torch.testing.assert_close(guidance.mix(rows, progress), expected)


def test_scales_of_1_leave_the_logits_as_they_are():
    logits = torch.randn(3, 4).bfloat16()
    assert Guidance((1, 1)).mix(logits, 0.5) is logits


def test_half_precision_is_mixed_in_single():
    logits = torch.tensor([[1.0, 2.0], [0.99, 2.0]]).bfloat16()
    mixed = Guidance((7.5,)).mix(logits, 0)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, 7.5 * logits[:1].float() - 6.5 * logits[1:].float())


def test_cosine_rises_from_1_to_the_scales():
    guidance = Guidance((3, 0.5), "cosine")
    assert guidance.scales_at(0) == (1, 1)
    assert guidance.scales_at(0.5) == pytest.approx((2, 0.75))
    assert guidance.scales_at(1) == (3, 0.5)
    assert guidance.scales_at(0.1)[0] < 1.1  # slow at first


def test_cosine_keeps_what_counts_at_the_start_only():
    assert Guidance((0,), "cosine").prefixes == (1, 0)
    assert Guidance((1, 1), "cosine").prefixes == (2,)


def test_start_token_is_no_condition():
    masks = build(("none", "class", "edges"), guidance=(2, 3)).masks(("none", "class", "edges"))
    assert [row.tolist() for row in masks] == [
        [True] * 3,
        [True, True, False],
        [True, False, False],
    ]


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_schedule_is_the_one_asked_for(schedule):
    assert build(guidance=3, guidance_schedule=schedule).schedule == schedule


def test_one_scale_is_for_all_conditions():
    assert build(guidance=2.5).scales == (2.5, 2.5)
    assert build(guidance=2.5).prefixes == (2, 0)


@pytest.mark.parametrize(
    ("kinds", "drop", "scales", "said"),
    [
        (TWO, 0.1, (2, 2, 2), r"guidance 2\.0, 2\.0, 2\.0: .* are: class, segmentation; give"),
        (("none",), 0.1, (2, 2), "are: none; give"),
        (("none",), 0.1, 2, r"guidance 2\.0 needs a prior with a condition; leave it at 1"),
        (TWO, 0.0, (1, 2), r"guidance 1\.0, 2\.0 needs .* condition-drop above 0"),
        (TWO, 0.0, 0, r"guidance 0\.0 needs a prior trained with condition-drop above 0"),
    ],
)
def test_impossible_guidance_is_refused_in_one_line(kinds, drop, scales, said):
    with pytest.raises(InputError, match=said) as error:
        build(kinds, drop, guidance=scales)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kinds", [TWO, ("none",)])
def test_guidance_of_1_is_possible_everywhere(kinds):
    assert len(build(kinds, drop=0.0, guidance=1).prefixes) == 1

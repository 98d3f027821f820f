import math

import pytest

from smalti.reproduce.results import Results
from smalti.reproduce.verdict import Claim, judge, mean_and_error

CLAIM = Claim("a is below b", "a", "b", paper=0.5)


def margins(*values: float) -> dict[int, Results]:
    """Results of seeds in which b is so much above a."""
    return {seed: Results.of({"a": 1.0, "b": 1.0 + value}) for seed, value in enumerate(values)}


@pytest.mark.parametrize(
    ("values", "outcome", "signs"),
    [
        ((1.0, 1.1, 0.9), "holds", "+ + +"),
        ((-1.0, -1.1, -0.9), "reversed", "- - -"),
        ((1.0, 1.1, 1.0, -0.1), "undecided", "+ + + -"),
        ((3.0, 0.1, 0.1), "undecided", "+ + +"),
        ((0.0, 0.0, 0.0), "undecided", "0 0 0"),
        ((1.0, 1.1), "too few seeds", "+ +"),
        ((1.0,), "too few seeds", "+"),
    ],
)
def test_a_verdict_needs_one_sign_and_two_errors(values, outcome, signs):
    verdict = judge(CLAIM, margins(*values))
    assert (verdict.outcome, verdict.signs) == (outcome, signs)


def test_the_margin_has_its_standard_error():
    verdict = judge(CLAIM, margins(1.0, 2.0, 3.0))
    assert verdict.mean == pytest.approx(2.0)
    assert verdict.error == pytest.approx(1 / math.sqrt(3))
    assert verdict.shown == "+2 ± 0.58"


def test_ratios_are_averaged_by_their_logarithms():
    claim = Claim("a is faster", "a", "b", paper=4, is_ratio=True)
    seeds = {n: Results.of({"a": 1.0, "b": ratio}) for n, ratio in enumerate((2.0, 8.0))}
    assert judge(claim, seeds).shown == "4 times (2 to 8)"
    assert claim.paper_shown == "4 times"


def test_a_mean_is_shown_to_two_digits_of_its_error():
    assert mean_and_error([4.76, 4.78]) == "4.770 ± 0.010"
    assert mean_and_error([4.76]) == "4.760"

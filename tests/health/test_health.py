"""Each finding on a history that has it, and none on one in good order."""

import math
from typing import Any

import pytest

from smalti.cli.options import hyphened, options_of, sections_of
from smalti.content import EdgesContent
from smalti.health.examine import examine
from smalti.health.findings import FindingKind, in_words
from smalti.health.tokenizer import reachable_codes
from smalti.runs.config import PriorRunConfig, VQGANRunConfig
from smalti.tokenizer.config import VQGANConfig

K = 1024
PHOTOGRAPHS = VQGANConfig(codebook_size=K)
EDGES = VQGANConfig(codebook_size=K, content=EdgesContent())
LOG_STEPS, EVAL_STEPS, TOTAL_STEPS, HEARD_STEP = 20, 250, 2000, 1000

Line = dict[str, Any]


def train_line(step: int, **changes: float) -> Line:
    """A line as a run in good order writes it; the adversary joins at `HEARD_STEP`."""
    line = {
        "step": step,
        "group": "train",
        "reconstruction_loss": 0.3 + 0.5 * math.exp(-step / 400),
        "gradient_norm": 1.5,
        "data_wait": 0.04,
        "images_per_second": 200.0,
    }
    if step > HEARD_STEP:
        line |= {
            "generator_loss": 0.4,
            "discriminator_loss": 0.85,
            "real_logits": 0.2,
            "fake_logits": -0.3,
            "real_accuracy": 0.7,
            "fake_accuracy": 0.75,
            "reconstruction_gradient_norm": 2.0,
            "generator_gradient_norm": 4.0,
            "adversary_weight": 0.1,
        }
    return line | changes


def eval_line(step: int, **changes: float) -> Line:
    line = {
        "step": step,
        "group": "eval",
        "reconstruction_loss": 0.32 + 0.5 * math.exp(-step / 400),
        "code_use": 0.85,
        "code_perplexity": 480.0,
        "dead_codes": 154,
        "code_vectors": 16384,
    }
    return line | changes


def history(end: int = TOTAL_STEPS, train: Any = None, evaluated: Any = None) -> list[Line]:
    """A run's lines up to a step; the functions change the lines of later steps by step."""
    lines: list[Line] = []
    for step in range(1, end + 1):
        if step % LOG_STEPS == 0:
            lines.append(train_line(step, **(train(step) if train else {})))
        if step % EVAL_STEPS == 0:
            lines.append(eval_line(step, **(evaluated(step) if evaluated else {})))
    return lines


def after(first: int, **changes: float) -> Any:
    return lambda step: changes if step > first else {}


def rising(first: int, name: str, slope: float, **changes: float) -> Any:
    """`name` rises with the steps after `first`."""
    return lambda step: {name: slope * (step - first), **changes} if step > first else {}


def kinds(lines: list[Line], vqgan: VQGANConfig = PHOTOGRAPHS) -> list[str]:
    return [finding.kind for finding in examine(lines, vqgan)]


def remedy_line(step: int, remedy: str) -> Line:
    return {"step": step, "group": "remedy", "finding": "", "remedy": remedy, "change": ""}


def images_line(held_out: int) -> Line:
    return {"step": 0, "group": "images", "training": 60, "held_out": held_out}


def held_out_nll(*values: float) -> list[dict[str, Any]]:
    return [
        {"step": step, "group": "eval", "nll": value, "nll_uniform": 7.0}
        for step, value in zip(range(250, 2001, 250), values, strict=False)
    ]


SICK = {
    "codebook_collapse": history(evaluated=after(1500, code_use=0.02, code_perplexity=9.0)),
    "discriminator_too_strong": history(
        train=rising(1000, "generator_loss", 0.01, real_accuracy=0.99, fake_accuracy=0.98)
    ),
    "discriminator_stuck": history(
        train=after(
            1000,
            real_accuracy=0.52,
            fake_accuracy=0.49,
            real_logits=0.01,
            fake_logits=0.0,
            discriminator_loss=0.995,
        )
    ),
    "not_finite": [
        *history(),
        {
            "step": 2001,
            "group": "not_finite",
            "what": "norm became nan at step 2001",
            "advice": "a lower --optimizer.learning-rate",
        },
    ],
    "adversary_dominates": history(train=after(1000, adversary_weight=0.6)),
    "over_fitting": history(evaluated=rising(0, "reconstruction_loss", 0.001)),
    "worse_than_uniform": held_out_nll(7.2, 7.1, 7.1),
    "waiting_for_data": history(train=after(0, data_wait=0.6)),
}


@pytest.mark.parametrize("kind", SICK)
def test_sick_run_is_found_out(kind):
    (finding,) = examine(SICK[kind], PHOTOGRAPHS)
    assert finding.kind == kind
    assert finding.flag == kind.replace("_", " ") + "!"


@pytest.mark.parametrize("end", [0, 20, 250, 1000, 1100, 1500, 2000])
def test_run_in_good_order_is_healthy_at_every_time(end):
    assert examine(history(end), PHOTOGRAPHS) == []
    assert in_words([]) == ["nothing wrong is seen"]


def options(text: str) -> list[str]:
    return [word.strip(",.;") for word in text.split() if word.startswith("--")]


@pytest.mark.parametrize("kind", SICK)
def test_advice_names_options_that_exist(kind):
    (finding,) = examine(SICK[kind], PHOTOGRAPHS)
    named = options(finding.advice)
    roots = (VQGANRunConfig, PriorRunConfig)
    known = {path for root in roots for path in [*options_of(root), *sections_of(root)]}
    assert named
    assert {name.removeprefix("--") for name in named} <= set(map(hyphened, known))


def test_message_has_the_figures():
    (finding,) = examine(SICK["codebook_collapse"], PHOTOGRAPHS)
    assert "2% of 1024 codes" in finding.message
    assert "perplexity 9" in finding.message
    assert finding.remedy == "restart_codes"


# What the scores are of


@pytest.mark.parametrize(("held_out", "scored"), [(3, "held-out images"), (0, "training images")])
@pytest.mark.parametrize("kind", ["adversary_dominates", "worse_than_uniform"])
def test_findings_call_scores_what_they_are_of(kind, held_out, scored):
    worse = after(1500, reconstruction_loss=1.4 * eval_line(HEARD_STEP)["reconstruction_loss"])
    sick = {
        "adversary_dominates": history(train=worse, evaluated=worse),
        "worse_than_uniform": held_out_nll(7.2, 7.1, 7.1),
    }
    (finding,) = examine([images_line(held_out), *sick[kind]], PHOTOGRAPHS)
    assert finding.kind == kind
    assert f"of {scored} is" in finding.message


def test_over_fitting_is_of_held_out_images():
    (finding,) = examine([images_line(3), *SICK["over_fitting"]], PHOTOGRAPHS)
    assert "over-fitting: reconstruction_loss of held-out images rose" in finding.message


def test_scores_of_training_images_show_no_over_fitting():
    assert kinds([images_line(0), *SICK["over_fitting"]]) == []


def test_scores_of_older_runs_are_of_evaluated_images():
    (finding,) = examine(SICK["over_fitting"], PHOTOGRAPHS)
    assert "over-fitting: reconstruction_loss of evaluated images rose" in finding.message


def judged(real_accuracy: float, apart: float) -> Any:
    """A discriminator that is right about so many patches of both kinds, with logits so far apart,
    while the generator loss rises."""
    return rising(
        1000,
        "generator_loss",
        0.001,
        real_accuracy=real_accuracy,
        fake_accuracy=real_accuracy,
        real_logits=apart,
        fake_logits=0.0,
    )


BEFORE = eval_line(HEARD_STEP)["reconstruction_loss"]
AT_THE_EDGE = {
    # Of 1,024 codes, all of which 16,384 vectors can reach: a quarter, and 5 % of them are 51.
    "use": (
        "codebook_collapse",
        lambda use: history(evaluated=after(1500, code_use=use)),
        0.24,
        0.26,
    ),
    "perplexity": (
        "codebook_collapse",
        lambda codes: history(evaluated=after(1500, code_perplexity=codes)),
        50.0,
        52.5,
    ),
    "accuracy": (
        "discriminator_too_strong",
        lambda share: history(train=judged(share, apart=2.0)),
        0.96,
        0.94,
    ),
    "chance": (
        "discriminator_stuck",
        lambda share: history(train=judged(share, apart=0.01)),
        0.54,
        0.56,
    ),
    "logits": (
        "discriminator_stuck",
        lambda apart: history(train=judged(0.5, apart)),
        0.04,
        0.06,
    ),
    # Times a norm of 4, beside one of 2.
    "gradient": (
        "adversary_dominates",
        lambda weight: history(train=after(1000, adversary_weight=weight)),
        0.51,
        0.49,
    ),
    "worse": (
        "adversary_dominates",
        lambda factor: history(
            train=after(1500, reconstruction_loss=factor * BEFORE),
            evaluated=after(1500, reconstruction_loss=factor * BEFORE),
        ),
        1.12,
        1.08,
    ),
    "wait": (
        "waiting_for_data",
        lambda share: history(train=after(0, data_wait=share)),
        0.31,
        0.29,
    ),
    # Over the last three evaluations, which are 750 steps.
    "over-fitting": (
        "over_fitting",
        lambda rise: history(
            evaluated=lambda step: {"reconstruction_loss": 0.4 + 0.4 * rise * (step - 1250) / 750}
        ),
        0.011,
        0.009,
    ),
    # At the last of three evaluations that fall, beside the highest of 0.9: 0.63.
    "falling use": (
        "codebook_collapse",
        lambda use: history(
            evaluated=lambda step: {
                "code_use": {1250: 0.9, 1500: 0.8, 1750: 0.7, 2000: use}.get(step, 0.9)
            }
        ),
        0.62,
        0.64,
    ),
}


@pytest.mark.parametrize("name", AT_THE_EDGE)
def test_a_finding_begins_where_it_is_said_to(name):
    kind, lines_of, sick, healthy = AT_THE_EDGE[name]
    assert kinds(lines_of(sick)) == [kind]
    assert kinds(lines_of(healthy)) == []


def test_what_is_judged_has_lasted_a_hundred_steps_however_often_it_is_logged():
    lines = [
        train_line(step, real_accuracy=0.99, fake_accuracy=0.98, generator_loss=step / 100)
        for step in range(1005, 1106, 5)
    ]
    assert kinds(lines) == ["discriminator_too_strong"]
    assert kinds(lines[:-1]) == []


# Codebook collapse


def test_low_perplexity_is_a_collapse_even_if_many_codes_are_seen():
    assert kinds(history(evaluated=after(0, code_use=0.9, code_perplexity=12.0))) == [
        "codebook_collapse"
    ]


def test_one_low_evaluation_is_not_yet_a_collapse():
    assert kinds(history(evaluated=after(1750, code_use=0.02, code_perplexity=9.0))) == []


def test_small_evaluation_set_cannot_show_a_large_codebook():
    few = after(0, code_use=200 / 16384, code_perplexity=190.0, code_vectors=256)
    assert kinds(history(evaluated=few), VQGANConfig(codebook_size=16384)) == []


def test_few_codes_of_maps_are_no_collapse():
    lines = history(evaluated=after(0, code_use=0.02, code_perplexity=9.0))
    assert kinds(lines) == ["codebook_collapse"]
    assert kinds(lines, EDGES) == []


def test_one_code_for_all_maps_is_a_collapse():
    lines = history(evaluated=after(0, code_use=1 / 1024, code_perplexity=1.0))
    assert kinds(lines, EDGES) == ["codebook_collapse"]


def test_maps_may_need_fewer_and_fewer_codes():
    shares = [{"code_use": 0.5 / step, "code_perplexity": 9.0} for step in range(1, 9)]
    lines = history()
    evaluations = [line for line in lines if line["group"] == "eval"]
    for line, share in zip(evaluations, shares, strict=False):
        line |= share
    assert kinds(lines, EDGES) == []


def test_use_that_falls_and_falls_is_a_collapse():
    falling = {1250: 0.9, 1500: 0.8, 1750: 0.7, 2000: 0.55}
    lines = history(evaluated=lambda step: {"code_use": falling.get(step, 0.9)})
    assert kinds(lines) == ["codebook_collapse"]
    assert kinds([line for line in lines if line["step"] <= 1750]) == []


def test_restarted_codes_are_given_time():
    lines = history(1750, evaluated=after(500, code_use=0.02, code_perplexity=9.0))
    lines.append(remedy_line(1750, "restart_codes"))
    later = [eval_line(step, code_use=0.02, code_perplexity=9.0) for step in (2000, 2250)]
    assert kinds(lines) == []
    assert kinds([*lines, later[0]]) == []
    assert kinds([*lines, *later]) == ["codebook_collapse"]


def test_reachable_codes_by_hand():
    assert reachable_codes(2, 1) == pytest.approx(1)
    assert reachable_codes(2, 2) == pytest.approx(1.5)
    assert reachable_codes(10, 10**6) == pytest.approx(10)


# The adversary


def test_accurate_discriminator_is_no_matter_while_the_generator_follows():
    falling = rising(1000, "generator_loss", -0.01, real_accuracy=0.99, fake_accuracy=0.98)
    assert kinds(history(train=falling)) == []


def test_discriminator_is_judged_only_after_a_while():
    strong = rising(1000, "generator_loss", 0.01, real_accuracy=0.99, fake_accuracy=0.98)
    assert kinds(history(1000 + 10 * LOG_STEPS - 1, train=strong)) == []
    assert kinds(history(1000 + 10 * LOG_STEPS, train=strong)) == ["discriminator_too_strong"]


def test_chance_accuracy_with_logits_apart_is_not_stuck():
    apart = after(1000, real_accuracy=0.52, fake_accuracy=0.49, real_logits=0.5, fake_logits=0.1)
    assert kinds(history(train=apart)) == []


def test_worse_reconstruction_than_before_the_adversary_is_its_doing():
    worse = after(1500, reconstruction_loss=1.4 * eval_line(HEARD_STEP)["reconstruction_loss"])
    lines = history(train=worse, evaluated=worse)
    (finding,) = examine(lines, PHOTOGRAPHS)
    assert finding.kind == "adversary_dominates"
    assert "40% worse" in finding.message


def test_reconstruction_that_was_bad_before_is_not_the_adversarys_doing():
    bad = after(500, reconstruction_loss=1.4 * eval_line(HEARD_STEP)["reconstruction_loss"])
    assert kinds(history(train=bad, evaluated=bad)) == []


def test_held_out_images_alone_getting_worse_is_not_the_adversarys_doing():
    worse = after(1500, reconstruction_loss=1.4 * eval_line(HEARD_STEP)["reconstruction_loss"])
    assert kinds(history(evaluated=worse)) == []


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("discriminator_too_strong", "slow_discriminator"),
        ("adversary_dominates", "soften_adversary"),
    ],
)
def test_softened_adversary_is_given_time(kind, remedy):
    assert kinds([*SICK[kind], remedy_line(TOTAL_STEPS, remedy)]) == []


# Over-fitting, waiting


def test_both_getting_worse_is_not_over_fitting():
    lines = history(
        train=rising(0, "reconstruction_loss", 0.001),
        evaluated=rising(0, "reconstruction_loss", 0.001),
    )
    assert "over_fitting" not in kinds(lines)


def test_prior_over_fits_by_its_likelihood():
    lines = [
        *({"step": s, "group": "train", "nll": 5 - s / 1000} for s in range(20, 2001, 20)),
        *({"step": s, "group": "eval", "nll": 5 + s / 1000} for s in range(250, 2001, 250)),
    ]
    (finding,) = examine(lines, None)
    assert finding.kind == "over_fitting"
    assert "--prior.dropout" in finding.advice


@pytest.mark.parametrize(
    "values", [(7.2, 7.2), (7.2, 7.2, 6.9), (7.02, 7.02, 7.02)], ids=["early", "better", "hardly"]
)
def test_new_prior_may_know_nothing(values):
    assert examine(held_out_nll(*values), None) == []


def test_a_short_wait_is_forgiven():
    assert kinds(history(train=after(1980, data_wait=1.0))) == []


def test_every_kind_is_tested():
    assert set(SICK) == set(FindingKind.__args__)


@pytest.mark.parametrize("kind", SICK)
def test_numbers_that_are_none_count_as_missing(kind):
    """Each number in turn was NaN in the newest evaluation, or in every step."""
    lines = SICK[kind]
    for name in {name for line in lines for name in line} - {"step", "group"}:
        examine([*lines[:-1], lines[-1] | {name: None}], PHOTOGRAPHS)
        examine([line | {name: None} if name in line else line for line in lines], PHOTOGRAPHS)

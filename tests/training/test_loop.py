"""The loop: when it looks, evaluates and saves, and what can stop it. Its learner is one weight."""

import errno
import json
import logging
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor, nn

from helpers.signals import needs_requeue_signal, needs_sent_signals
from smalti.cluster import STOP_SIGNALS
from smalti.config import Config, InputError
from smalti.health.examine import examine
from smalti.health.findings import Finding
from smalti.health.remedies import Treatment
from smalti.health.run_images import RunImages
from smalti.model_folder import read_tensors
from smalti.training import loop, stop_signals
from smalti.training.checkpoint import InferenceModel, TrainingState
from smalti.training.config import TrainingConfig
from smalti.training.learner import Learner
from smalti.training.log import read_metrics
from smalti.training.loop import NotFiniteError, Stopped, Trainer
from smalti.training.run_lock import HOLDER_FILE
from smalti.training.stop_signals import StopSignals

SEED = 3
IMAGES = RunImages(training=9, held_out=1)


@dataclass
class Numbers:
    """A batch."""

    keys: list[str]
    value: float


def numbers(start_step: int) -> Iterator[Numbers]:
    for step in count(start_step):
        yield Numbers([f"{step}a.png", f"{step}b.png"], float(step))


class Sum(nn.Module):
    """Its weight is the sum of all batches."""

    def __init__(self) -> None:
        super().__init__()
        self.total = nn.Parameter(torch.zeros(()))


class SumLearner(Learner[Numbers]):
    """Adds up the batches; the score of step n is `scores[n]`, else 0."""

    shown = ("loss",)

    def __init__(self, scores: Mapping[int, float] | None = None, comparable: int = 0) -> None:
        self.module, self.scores, self.comparable = Sum(), scores or {}, comparable
        self.current, self.draws, self.before_step = 0, [], {}
        self.sick_from, self.treated = 10**9, []

    @property
    def total(self) -> float:
        """The weight."""
        return float(self.module.total.detach())

    def state(self) -> TrainingState:
        return TrainingState({"sum": self.module}, {})

    def model(self) -> InferenceModel:
        return InferenceModel("sum", Config(), self.module)

    def set_step(self, step: int) -> None:
        self.current = step

    def step(self, batch: Numbers) -> dict[str, Tensor]:
        """One addition; `before_step[n]` is called first in step n (from 1)."""
        self.current += 1
        result = self.before_step.get(self.current, lambda: None)()
        self.draws.append(float(torch.rand(())))
        with torch.no_grad():
            self.module.total += batch.value
        return {"loss": torch.tensor(1.0), "norm": torch.tensor(result or 1.0)}

    def evaluate(self) -> dict[str, float]:
        return {"quality": 1.0, "score": self.scores.get(self.current, 0.0)}

    def comparable_from(self) -> int:
        return self.comparable

    def pictures(self) -> dict[str, Image.Image]:
        return {"grid": Image.new("RGB", (2, 2))}

    def examine(self, lines: list[dict]) -> list[Finding]:
        """Sick from a step on, and the lines must tell the step."""
        sick = max((line["step"] for line in lines), default=0) >= self.sick_from
        return [Finding("over_fitting", "over-fitting: bad", "do less")] if sick else []

    def treat(self, findings: list[Finding]) -> list[Treatment]:
        self.treated += [float(torch.rand(())) for _ in findings]
        return [Treatment(f.kind, "restart_codes", f"change {self.current}") for f in findings]


def train(
    folder: Path,
    learner: SumLearner,
    early_stop: int | None = None,
    images: RunImages = IMAGES,
    seed: int = SEED,
    after_save: Callable[[], object] | None = None,
    **config: object,
) -> SumLearner:
    settings = {"total_steps": 6, "log_steps": 1, "save_steps": 2, "eval_steps": 100} | config
    folder.mkdir(exist_ok=True)
    training = TrainingConfig(picture_steps=100, **settings)
    Trainer(learner, numbers, training, folder, seed, images, early_stop, after_save).run()
    return learner


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def fail_saves(monkeypatch, fail) -> None:
    """Let `save_checkpoint` run out of disk in the steps for which `fail` holds."""
    real = loop.save_checkpoint

    def save(folder, state, model, counters):
        if fail(counters.step):
            raise InputError("cannot write: the disk is full")
        return real(folder, state, model, counters)

    monkeypatch.setattr(loop, "save_checkpoint", save)


def test_run_that_another_machine_took_over_writes_nothing_more(tmp_path):
    """As after this one was suspended: the other one's checkpoints and metrics stay its own."""
    learner = SumLearner()

    def take_over() -> None:
        (tmp_path / HOLDER_FILE).write_text(
            '{"host": "elsewhere.example", "pid": 1}', encoding="utf-8"
        )

    learner.before_step[4] = take_over
    with pytest.raises(InputError, match=r"was taken over by process 1 on elsewhere\.example"):
        train(tmp_path, learner)
    assert checkpoints(tmp_path) == ["step_00000002"]
    assert read_metrics(tmp_path)[-1]["step"] == 3


# Health


def test_finding_is_said_when_it_first_appears_and_at_the_end(tmp_path, capsys):
    learner = SumLearner()
    learner.sick_from = 4
    train(tmp_path, learner, eval_steps=2)
    said = [line for line in capsys.readouterr().err.splitlines() if "over-fitting: bad" in line]
    assert said == ["health: over-fitting: bad. What to change: do less"] * 2
    health = [line["findings"] for line in read_metrics(tmp_path) if line["group"] == "health"]
    assert health == [[], ["over_fitting"], ["over_fitting"]]


def test_finding_shows_in_the_progress(tmp_path, capsys):
    learner = SumLearner()
    learner.sick_from = 4
    train(tmp_path, learner, eval_steps=2)
    flagged = [
        line.split()[1] for line in capsys.readouterr().err.splitlines() if "fitting!" in line
    ]
    assert flagged == ["5/6", "6/6"]


def test_remedy_is_said_and_logged(tmp_path, capsys):
    learner = SumLearner()
    learner.sick_from = 6
    train(tmp_path, learner, eval_steps=3)
    assert "remedy at step 6: change 6" in capsys.readouterr().err
    (line,) = (line for line in read_metrics(tmp_path) if line["group"] == "remedy")
    assert line == {
        "step": 6,
        "group": "remedy",
        "finding": "over_fitting",
        "remedy": "restart_codes",
        "change": "change 6",
    }


def test_randomness_of_a_remedy_follows_from_the_step(tmp_path):
    treated = []
    for name in ("a", "b"):
        learner = SumLearner()
        learner.sick_from = 2
        torch.rand(len(treated) + 1)
        train(tmp_path / name, learner, eval_steps=3)
        treated.append(learner.treated)
    assert len(treated[0]) == 2
    assert treated[0] == treated[1]


def test_pace_is_logged(tmp_path):
    train(tmp_path, SumLearner(), log_steps=3, batch_size=2)
    lines = [line for line in read_metrics(tmp_path) if line["group"] == "train"]
    assert all(0 <= line["data_wait"] <= 1 and line["images_per_second"] > 0 for line in lines)


# Which images


@pytest.mark.parametrize("held_out", [0, 1])
def test_scores_are_called_what_they_are_of(tmp_path, capsys, held_out):
    images = RunImages(training=9, held_out=held_out)
    train(tmp_path, SumLearner(), images=images, eval_steps=6)
    scored = "held-out images" if held_out else "training images"
    assert f"\n{scored} at step 6: quality 1\n" in f"\n{capsys.readouterr().err}"


def test_images_are_a_line_at_the_start_and_where_they_change(tmp_path):
    more = RunImages(training=10, held_out=2)
    train(tmp_path, SumLearner(), total_steps=2)
    train(tmp_path, SumLearner(), total_steps=4)
    train(tmp_path, SumLearner(), images=more, total_steps=6)
    lines = [line for line in read_metrics(tmp_path) if line["group"] == "images"]
    assert lines == [
        {"step": 0, "group": "images", "training": 9, "held_out": 1},
        {"step": 4, "group": "images", "training": 10, "held_out": 2},
    ]
    assert RunImages.last(read_metrics(tmp_path)) == more


# When it does what


def test_intervals_decide_when_it_looks_and_saves(tmp_path):
    train(tmp_path, SumLearner(), log_steps=4, eval_steps=3)
    lines = [(line["group"], line["step"]) for line in read_metrics(tmp_path)]
    looked = [(group, step) for group, step in lines if group not in ("health", "images")]
    assert looked == [("eval", 3), ("train", 4), ("train", 6), ("eval", 6)]
    assert [step for group, step in lines if group == "health"] == [3, 6]
    assert checkpoints(tmp_path) == ["best", "step_00000004", "step_00000006"]
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["grid_00000006.png"]


def test_finished_run_does_nothing_when_run_again(tmp_path):
    train(tmp_path, SumLearner())
    before = (tmp_path / "metrics.jsonl").read_bytes()
    again = train(tmp_path, SumLearner())
    assert again.draws == []
    assert again.total == 0 + 1 + 2 + 3 + 4 + 5
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_more_steps_go_on_from_the_end(tmp_path):
    train(tmp_path, SumLearner())
    learner = train(tmp_path, SumLearner(), total_steps=8)
    assert len(learner.draws) == 2
    assert learner.total == sum(range(8))


def test_randomness_of_a_step_depends_on_the_step_alone(tmp_path):
    whole = train(tmp_path / "whole", SumLearner()).draws
    train(tmp_path / "halves", SumLearner(), total_steps=4)
    torch.rand(5)
    assert train(tmp_path / "halves", SumLearner()).draws == whole[4:]
    assert len(set(whole)) == 6


def test_randomness_of_a_step_depends_on_the_seed_of_the_run(tmp_path):
    first = train(tmp_path / "first", SumLearner()).draws
    second = train(tmp_path / "second", SumLearner(), seed=SEED + 1).draws
    assert not set(first) & set(second)


def test_the_global_generator_is_left_as_it_was(tmp_path):
    before = torch.get_rng_state()
    train(tmp_path, SumLearner())
    assert torch.equal(torch.get_rng_state(), before)


def test_more_parts_than_images_in_a_batch_are_refused():
    with pytest.raises(ValidationError, match="accumulation-steps 3 is more than the batch-size 2"):
        TrainingConfig(batch_size=2, accumulation_steps=3)


# The best model


def best_total(folder: Path) -> float:
    return float(read_tensors(folder / "checkpoints" / "best" / "model.safetensors")["total"])


def test_best_is_the_model_of_the_lowest_score(tmp_path):
    train(tmp_path, SumLearner({1: 3.0, 2: 1.0, 3: 2.0, 4: 5.0, 5: 1.0, 6: 4.0}), eval_steps=1)
    assert best_total(tmp_path) == 0 + 1


def test_scores_before_they_are_comparable_do_not_count_after(tmp_path):
    scores = {1: 1.0, 2: 1.0, 3: 1.0, 4: 9.0, 5: 8.0, 6: 9.0}
    train(tmp_path, SumLearner(scores, comparable=4), eval_steps=1)
    assert best_total(tmp_path) == sum(range(5))


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("none", [NAN, INF, -INF])
@pytest.mark.parametrize("comparable", [0, 1])
def test_score_that_is_not_a_number_is_never_the_best(tmp_path, caplog, none, comparable):
    scores = {1: none, 2: 3.0, 3: none, 4: 5.0, 5: 4.0, 6: 6.0}
    train(tmp_path, SumLearner(scores, comparable), eval_steps=1)
    assert best_total(tmp_path) == 0 + 1
    warned = [r.getMessage() for r in caplog.records if "never the best" in r.getMessage()]
    assert [text.split(" is ")[0] for text in warned] == [
        "the score at step 1",
        "the score at step 3",
    ]


def test_first_comparable_score_is_the_first_that_is_a_number(tmp_path):
    scores = {1: 1.0, 2: 1.0, 3: 1.0, 4: NAN, 5: 8.0, 6: 9.0}
    train(tmp_path, SumLearner(scores, comparable=4), eval_steps=1)
    assert best_total(tmp_path) == sum(range(5))


def test_run_whose_scores_are_no_numbers_has_no_best_model_and_stops_early(tmp_path, capsys):
    learner = train(tmp_path, SumLearner(dict.fromkeys(range(9), NAN)), early_stop=2, eval_steps=1)
    assert learner.current == 2
    assert "2 evaluations without gain. No score was a number, so" in capsys.readouterr().err
    assert checkpoints(tmp_path) == ["step_00000002"]
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8")


def test_resumed_run_remembers_the_best_score(tmp_path):
    train(tmp_path, SumLearner({2: 1.0}), eval_steps=2, total_steps=2)
    train(tmp_path, SumLearner({4: 3.0, 6: 2.0}), eval_steps=2)
    assert best_total(tmp_path) == 0 + 1


def test_best_that_could_not_be_saved_is_not_the_best(tmp_path, monkeypatch):
    """Or no later model with a higher score would ever be kept."""
    learner = SumLearner({2: 1.0, 4: 2.0, 6: 3.0})
    real = loop.save_model

    def save(*args):
        if learner.current == 2:
            raise InputError("cannot write: the disk is full")
        real(*args)

    monkeypatch.setattr(loop, "save_model", save)
    train(tmp_path, learner, eval_steps=2)
    assert best_total(tmp_path) == sum(range(4))


# Early stop

# The best is that of step 2; then come one evaluation without gain, a gain, and no more.
WORSE = {1: 5.0, 2: 3.0, 3: 4.0, 4: 2.0, 5: 2.0, 6: 3.0, 7: 3.0, 8: 1.0}


def test_run_stops_after_so_many_evaluations_without_gain(tmp_path, capsys):
    learner = train(
        tmp_path, SumLearner(WORSE), early_stop=2, eval_steps=1, total_steps=8, save_steps=5
    )
    assert learner.current == 6
    line = "stopped early at step 6 of 8: 2 evaluations without gain. The best model is that of"
    assert f"{line} step 4" in capsys.readouterr().err
    assert best_total(tmp_path) == 0 + 1 + 2 + 3
    assert checkpoints(tmp_path) == ["best", "step_00000005", "step_00000006"]
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["grid_00000006.png"]


@pytest.mark.parametrize("early_stop", [None, 4])
def test_run_goes_to_its_end_without_an_early_stop_or_while_there_is_gain(
    tmp_path, capsys, early_stop
):
    settings = {"eval_steps": 1, "total_steps": 8}
    assert train(tmp_path, SumLearner(WORSE), early_stop, **settings).current == 8
    assert "stopped early" not in capsys.readouterr().err


def test_lack_of_gain_in_the_last_evaluation_is_no_early_stop(tmp_path, capsys):
    train(tmp_path, SumLearner(WORSE), early_stop=2, eval_steps=1)
    assert "stopped early" not in capsys.readouterr().err


@pytest.mark.parametrize("total_steps", [8, 20])
def test_run_that_stopped_early_is_done(tmp_path, capsys, total_steps):
    train(tmp_path, SumLearner(WORSE), early_stop=2, eval_steps=1, total_steps=8)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    capsys.readouterr()
    again = train(tmp_path, SumLearner(WORSE), 2, eval_steps=1, total_steps=total_steps)
    assert again.draws == []
    assert f"stopped early at step 6 of {total_steps}: " in capsys.readouterr().err
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("early_stop", [None, 4])
def test_run_that_stopped_early_goes_on_when_its_early_stop_is_raised(tmp_path, early_stop):
    train(tmp_path, SumLearner(WORSE), early_stop=2, eval_steps=1, total_steps=8)
    again = train(tmp_path, SumLearner(WORSE), early_stop, eval_steps=1, total_steps=8)
    assert len(again.draws) == 2
    assert again.total == sum(range(8))
    assert best_total(tmp_path) == sum(range(8))


@pytest.mark.parametrize("stop", [4, 5])
def test_resumed_run_stops_at_the_same_step(tmp_path, stop):
    """Step 5 is without gain, and remembered."""
    learner = SumLearner(WORSE)
    learner.before_step[stop] = lambda: signal.raise_signal(signal.SIGTERM)
    settings = {"eval_steps": 1, "total_steps": 8, "save_steps": 100}
    with pytest.raises(Stopped):
        train(tmp_path, learner, early_stop=2, **settings)
    assert train(tmp_path, SumLearner(WORSE), early_stop=2, **settings).current == 6


def test_gain_whose_model_could_not_be_saved_is_a_gain(tmp_path, monkeypatch):
    def refuse(*_args):
        raise InputError("cannot write: the disk is full")

    monkeypatch.setattr(loop, "save_model", refuse)
    falling = {1: 3.0, 2: 2.0}
    learner = train(tmp_path, SumLearner(falling), early_stop=1, eval_steps=1, total_steps=2)
    assert learner.current == 2


# Signals


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_signal_finishes_the_step_saves_and_stops(tmp_path, number):
    learner = SumLearner()
    learner.before_step[3] = lambda: signal.raise_signal(number)
    with pytest.raises(Stopped) as stopped:
        train(tmp_path, learner, save_steps=100)
    assert stopped.value.signal_number == number
    assert checkpoints(tmp_path) == ["step_00000003"]
    resumed = train(tmp_path, SumLearner())
    assert len(resumed.draws) == 3
    assert resumed.total == sum(range(6))


def test_end_of_torchrun_counts_as_the_signal_that_it_would_send(tmp_path, monkeypatch):
    learner, lost = SumLearner(), []
    monkeypatch.setattr(stop_signals, "has_lost_torchrun", lambda: bool(lost))
    learner.before_step[3] = lambda: lost.append(True)
    with pytest.raises(Stopped) as stopped:
        train(tmp_path, learner, save_steps=100)
    assert stopped.value.signal_number == signal.SIGTERM
    assert checkpoints(tmp_path) == ["step_00000003"]


def test_handlers_of_before_are_put_back(tmp_path):
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    train(tmp_path, SumLearner())
    after = [signal.getsignal(number) for number in STOP_SIGNALS]
    assert after == before


@needs_sent_signals
def test_second_signal_ends_the_process_at_once():
    """In the middle of a step that would never end."""
    program = textwrap.dedent("""
        import signal
        from smalti.training.stop_signals import StopSignals
        with StopSignals():
            signal.raise_signal(signal.SIGTERM)
            print("first", flush=True)
            signal.raise_signal(signal.SIGTERM)
            print("second", flush=True)
    """)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, encoding="utf-8"
    )
    assert ended.returncode == -signal.SIGTERM
    assert ended.stdout == "first\n"


@needs_requeue_signal
def test_signal_of_the_cluster_is_no_impatience_before_or_after_another():
    """Slurm sends it to all processes, perhaps twice, and SIGTERM when the time is over."""
    with StopSignals() as stop:
        for number in (signal.SIGUSR1, signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR1):
            signal.raise_signal(number)
    assert stop.number == signal.SIGTERM


# Numbers that are none


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_step_term_and_batch_that_is_not_finite_are_named(tmp_path, value):
    learner = SumLearner()
    learner.before_step[4] = lambda: value
    with pytest.raises(NotFiniteError) as error:
        train(tmp_path, learner, log_steps=100)
    assert f"norm became {value} at step 4; batch: 3a.png, 3b.png" in str(error.value)
    assert checkpoints(tmp_path) == ["step_00000002"]


@pytest.mark.parametrize(
    ("step", "where"),
    [
        (1, "No checkpoint was saved yet, so smalti resume {run} begins anew"),
        (4, "smalti resume {run} goes on from the checkpoint of step 2"),
    ],
)
def test_message_of_a_number_that_is_none_says_how_to_go_on(tmp_path, step, where):
    learner = SumLearner()
    learner.before_step[step] = lambda: NAN
    with pytest.raises(NotFiniteError) as error:
        train(tmp_path, learner, log_steps=100, precision="float32")
    where = where.format(run=tmp_path)
    assert str(error.value).endswith(f". {where}; give it a lower --optimizer.learning-rate")


def test_run_that_ended_by_a_number_that_is_none_is_found_sick_until_it_goes_on(tmp_path):
    learner = SumLearner()
    learner.before_step[4] = lambda: NAN
    with pytest.raises(NotFiniteError):
        train(tmp_path, learner, log_steps=100)
    (finding,) = examine(read_metrics(tmp_path), vqgan=None)
    assert finding.kind == "not_finite"
    assert "norm became nan at step 4" in finding.message
    assert "a lower --optimizer.learning-rate" in finding.advice
    train(tmp_path, SumLearner(), log_steps=100)
    assert not examine(read_metrics(tmp_path), vqgan=None)


def test_after_each_checkpoint_but_the_last_a_function_is_called(tmp_path):
    seen = []
    train(tmp_path, SumLearner(), after_save=lambda: seen.append(checkpoints(tmp_path)[-1]))
    assert seen == ["step_00000002", "step_00000004"]


def test_message_of_a_number_that_is_none_names_the_options_that_may_help(tmp_path):
    trainer = Trainer(
        SumLearner(), numbers, TrainingConfig(precision="bfloat16"), tmp_path, SEED, IMAGES
    )
    advice = "a lower --discriminator-optimizer.learning-rate or --training.precision float32"
    assert str(trainer._not_finite("discriminator_loss", "It is NaN")).endswith(advice)


def test_poisoned_step_is_not_saved_when_a_signal_comes_with_it(tmp_path):
    learner = SumLearner()

    def poison() -> float:
        signal.raise_signal(signal.SIGTERM)
        return float("nan")

    learner.before_step[3] = poison
    with pytest.raises(NotFiniteError, match="at step 3"):
        train(tmp_path, learner, log_steps=100)
    assert checkpoints(tmp_path) == ["step_00000002"]


def test_infinite_weights_behind_finite_losses_are_not_saved(tmp_path):
    learner = SumLearner()
    learner.before_step[4] = lambda: learner.module.total.data.fill_(float("inf")) and None
    with pytest.raises(NotFiniteError, match="weights of sum became infinite or NaN by step 4"):
        train(tmp_path, learner)
    assert checkpoints(tmp_path) == ["step_00000002"]


# Disks


def test_full_disk_at_a_periodic_save_only_warns(tmp_path, monkeypatch, caplog):
    fail_saves(monkeypatch, lambda step: step == 4)
    with caplog.at_level(logging.WARNING):
        learner = train(tmp_path, SumLearner())
    assert learner.total == sum(range(6))
    assert checkpoints(tmp_path) == ["best", "step_00000002", "step_00000006"]
    assert ["the disk is full; training goes on" in r.getMessage() for r in caplog.records] == [
        True
    ]


def test_third_failed_save_in_a_row_ends_the_run(tmp_path, monkeypatch):
    fail_saves(monkeypatch, lambda step: step in (4, 6, 8))
    learner = SumLearner()
    with pytest.raises(InputError, match="the disk is full"):
        train(tmp_path, learner, total_steps=20)
    assert learner.current == 8
    assert checkpoints(tmp_path) == ["step_00000002"]


def test_failed_saves_that_are_not_in_a_row_end_nothing(tmp_path, monkeypatch):
    fail_saves(monkeypatch, lambda step: step in (4, 6, 10, 12))
    assert train(tmp_path, SumLearner(), total_steps=14).current == 14


def test_last_save_must_succeed(tmp_path, monkeypatch):
    fail_saves(monkeypatch, lambda step: step == 6)
    with pytest.raises(InputError, match="the disk is full"):
        train(tmp_path, SumLearner())
    assert checkpoints(tmp_path) == ["best", "step_00000002", "step_00000004"]


def test_full_disk_costs_numbers_and_pictures_but_not_the_run(tmp_path, monkeypatch, caplog):
    """Whether to end is decided by the checkpoints alone."""
    real_dumps, real_save = json.dumps, Image.Image.save

    def refuse(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    def dumps(line, **options):
        return refuse() if line.get("step") == 2 else real_dumps(line, **options)

    monkeypatch.setattr("smalti.training.log.json.dumps", dumps)
    monkeypatch.setattr(Image.Image, "save", refuse)
    with caplog.at_level(logging.WARNING):
        train(tmp_path, SumLearner(), total_steps=4)
    monkeypatch.setattr(Image.Image, "save", real_save)
    told = {"health", "images"}
    numbers = [line for line in read_metrics(tmp_path) if line["group"] not in told]
    assert [line["step"] for line in numbers] == [1, 3, 4, 4]
    messages = [record.getMessage() for record in caplog.records]
    kept_by_us = [one for one in messages if not one.startswith("TensorBoard failed")]
    assert [one.partition(":")[0].rpartition("/")[2] for one in kept_by_us] == [
        "metrics.jsonl",
        "grid_00000004.png",
    ]

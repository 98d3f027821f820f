"""The schedule of the adversary."""

import pytest
import torch

from smalti.config import InputError
from smalti.training.vqgan.adversary import AdversarySchedule
from smalti.training.vqgan.config import AdversaryConfig


def schedule(total_steps: int = 1000, **config: object) -> AdversarySchedule:
    return AdversarySchedule(AdversaryConfig(**config), total_steps)


def observe(schedule: AdversarySchedule, losses: list[float]) -> None:
    for step, loss in enumerate(losses):
        schedule.observe(step, torch.tensor(loss))


def test_shares_are_of_the_run():
    by_share = schedule(start=0.4, warmup=0.02, ramp=0.1)
    assert (by_share.learns(399), by_share.learns(400)) == (False, True)
    assert by_share.full_step == 520


def test_whole_numbers_are_steps():
    by_steps = schedule(start=0, warmup=3, ramp=0)
    assert by_steps.learns(0)
    assert by_steps.full_step == 3


def test_ramp_by_hand():
    by_steps = schedule(start=10, warmup=2, ramp=3)
    assert [by_steps.learns(step) for step in (9, 10)] == [False, True]
    expected = {10: 0, 11: 0, 12: 0.25, 13: 0.5, 14: 0.75, 15: 1, 16: 1}
    assert {step: by_steps.ramp(step) for step in expected} == expected
    assert by_steps.full_step == 15


def test_auto_starts_where_the_error_levels_off():
    auto = schedule(total_steps=200, start="auto")  # looked at every 10 steps, from 40 to 80
    falling = [1 - 0.01 * step for step in range(50)]
    observe(auto, falling + [falling[-1]] * 30)
    # 50 to 59 is still 3 % better than 40 to 49; 60 to 69 is level.
    assert not auto.learns(69)
    assert auto.learns(70)


@pytest.mark.parametrize(("improvement", "start"), [(0.3, 40), (0.2, 80)])
def test_how_level_the_error_must_be_is_as_asked(improvement, start):
    """It falls by 3 % a step, which is 26 % a window."""
    auto = schedule(total_steps=200, start="auto", auto_improvement=improvement)
    observe(auto, [0.97**step for step in range(80)])
    assert int(auto.start_step) == start


def test_auto_does_not_start_early_on_a_level_error():
    auto = schedule(total_steps=200, start="auto")
    observe(auto, [1.0] * 39)
    assert not auto.is_decided
    assert auto.ramp(10**6) == 0
    auto.observe(39, torch.tensor(1.0))
    assert auto.learns(40)


def test_auto_does_not_wait_for_ever():
    auto = schedule(total_steps=200, start="auto")
    observe(auto, [0.9**step for step in range(80)])
    assert auto.learns(80)


def test_a_resumed_schedule_decides_alike():
    losses = [1 - 0.01 * step for step in range(50)] + [0.5] * 30
    whole, first, second = (schedule(total_steps=200, start="auto") for _ in range(3))
    observe(whole, losses)
    observe(first, losses[:47])
    second.load_state_dict(first.state_dict())
    for step in range(47, 80):
        second.observe(step, torch.tensor(losses[step]))
    assert second.full_step == whole.full_step


def test_a_longer_run_keeps_the_schedule_that_it_began_with():
    begun, longer = schedule(1000, start=0.4), schedule(2000, start=0.4)
    longer.load_state_dict(begun.state_dict())
    assert longer.full_step == begun.full_step


@pytest.mark.parametrize("start", [1.5, -1, "soon", 1.0])
def test_a_start_of_no_meaning_is_refused(start):
    with pytest.raises(ValueError, match="start"):
        AdversaryConfig(start=start)


def test_a_start_after_the_end_is_refused():
    with pytest.raises(InputError, match="start is step 100, but the run ends at step 100"):
        AdversaryConfig(start=100).check(total_steps=100)
    AdversaryConfig(start=99).check(total_steps=100)
    AdversaryConfig(start=100, kind="none").check(total_steps=100)

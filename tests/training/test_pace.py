"""The clock of a run, on a clock of its own."""

import pytest

from smalti.training import pace
from smalti.training.pace import Pace


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


def test_share_of_waiting_and_speed_by_hand(clock):
    measured = Pace(images_done=40)
    with measured.waiting():
        clock.now += 1
    clock.now += 3
    assert measured.lap(images_done=60) == {"data_wait": 0.25, "images_per_second": 5.0}


def test_pauses_do_not_count(clock):
    measured = Pace(images_done=0)
    clock.now += 1
    with measured.paused():
        clock.now += 50
    with measured.waiting():
        clock.now += 1
    assert measured.lap(images_done=8) == {"data_wait": 0.5, "images_per_second": 4.0}


def test_each_lap_starts_anew(clock):
    measured = Pace(images_done=0)
    with measured.waiting():
        clock.now += 1
    measured.lap(images_done=8)
    clock.now += 2
    assert measured.lap(images_done=9) == {"data_wait": 0.0, "images_per_second": 0.5}

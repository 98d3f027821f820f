"""Who holds a run: real processes that race, die and are killed, and machines that fall silent."""

import contextlib
import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import filelock
import pytest

from smalti.config import InputError
from smalti.training import run_lock
from smalti.training.run_lock import (
    HOLDER_FILE,
    LOCK_FILES,
    Holder,
    check_held,
    hold_run,
    read_holder,
)

ELSEWHERE = Holder("elsewhere.example", 1, boot="other")
LONG_S = 30.0
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Beats and silences of a fraction of a second."""
    monkeypatch.setattr(run_lock, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(run_lock, "SILENCE_SECONDS", 0.15)
    monkeypatch.setattr(run_lock, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(run_lock, "POLL_SECONDS", 0.01)


def write(folder: Path, holder: Holder) -> None:
    (folder / HOLDER_FILE).write_text(json.dumps(asdict(holder)), encoding="utf-8")


def enter(folder: Path) -> Holder | None:
    with hold_run(folder) as ended:
        assert read_holder(folder) == Holder.this_process()
        return ended


def hold_until_killed(folder: Path) -> None:
    with hold_run(folder):
        time.sleep(LONG_S)


def hold_elsewhere_until_killed(folder: Path) -> None:
    """As a process of another machine."""
    identity = replace(ELSEWHERE, pid=os.getpid())
    Holder.this_process = classmethod(lambda _cls: identity)  # in this fork alone
    hold_until_killed(folder)


def fork(target, *arguments) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=target, args=arguments)
    process.start()
    return process


@contextlib.contextmanager
def held_by_another(folder: Path, hold=hold_until_killed):
    """A process that holds the run, after its first sign of life."""
    process = fork(hold, folder)
    try:
        while (holder := read_holder(folder)) is None or holder.pid != process.pid:
            time.sleep(0.005)
        yield process
    finally:
        process.kill()
        process.join()


# One machine


def test_holder_is_named_while_the_run_is_held_and_leaves_nothing(tmp_path):
    assert enter(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@needs_fork
def test_living_process_is_refused_with_host_number_time_and_advice(tmp_path):
    with held_by_another(tmp_path) as other, pytest.raises(InputError) as refused:
        enter(tmp_path)
    host = Holder.this_process().host
    assert f"{tmp_path} is in use: process {other.pid} on {host}, last heard of at 2" in str(
        refused.value
    )
    assert str(refused.value).endswith(
        "wait for its end, stop it (Ctrl-C saves), or choose another --out"
    )


@needs_fork
def test_killed_process_is_followed_at_once_with_a_word(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_lock, "SILENCE_SECONDS", LONG_S)
    with held_by_another(tmp_path) as other:
        os.kill(other.pid, signal.SIGKILL)
        other.join()
        assert (tmp_path / HOLDER_FILE).exists()
        assert enter(tmp_path).pid == other.pid
    assert f"process {other.pid} on" in capsys.readouterr().err


def race(folder: Path, start, inside, found, rounds: int) -> None:
    for number in range(rounds):
        start.wait()
        try:
            with hold_run(folder):
                with inside.get_lock():
                    inside.value += 1
                    found[number] = max(found[number], inside.value)
                time.sleep(0.01)
                with inside.get_lock():
                    inside.value -= 1
        except InputError:
            pass
        start.wait()
        write(folder, replace(Holder.this_process(), pid=1))


@needs_fork
def test_of_processes_that_race_for_a_dead_lock_one_takes_it(tmp_path):
    rounds, context = 60, multiprocessing.get_context("fork")
    write(tmp_path, replace(Holder.this_process(), pid=1))
    start, inside = context.Barrier(3), context.Value("i", 0)
    found = context.Array("i", rounds)
    racing = [fork(race, tmp_path, start, inside, found, rounds) for _ in range(3)]
    for process in racing:
        process.join()
    assert list(found) == [1] * rounds


def test_second_run_in_the_same_process_is_refused(tmp_path):
    with hold_run(tmp_path), pytest.raises(InputError, match="in use"):
        enter(tmp_path)


def test_container_of_this_machine_needs_no_watching(tmp_path, monkeypatch):
    """Its name is another, but the system's lock would show that it lives."""
    monkeypatch.setattr(run_lock, "SILENCE_SECONDS", LONG_S)
    here = Holder.this_process()
    if not here.boot:
        pytest.skip("this system does not tell which of its starts this is")
    write(tmp_path, replace(here, host="3f2a", pid=1))
    assert enter(tmp_path).host == "3f2a"


@needs_fork
def test_workers_that_outlive_a_killed_process_do_not_hold_its_run(tmp_path):
    def work() -> None:
        with hold_run(tmp_path):
            worker = fork(time.sleep, LONG_S)
            (tmp_path / "worker").write_text(str(worker.pid), encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)

    fork(work).join()
    try:
        enter(tmp_path)
    finally:
        os.kill(int((tmp_path / "worker").read_text(encoding="utf-8")), signal.SIGKILL)


# Several machines


def test_silent_process_of_another_machine_is_followed_with_a_word(tmp_path, capsys):
    write(tmp_path, ELSEWHERE)
    os.utime(tmp_path / HOLDER_FILE, (2**33, 2**33))  # its clock is centuries ahead
    assert enter(tmp_path) == ELSEWHERE
    said = capsys.readouterr().err
    assert "is held by process 1 on elsewhere.example, last heard of at 2242" in said
    assert "process 1 on elsewhere.example ended without letting go of it; taking over" in said


@needs_fork
def test_run_moves_to_another_machine_when_its_process_is_dead_and_not_before(tmp_path):
    with held_by_another(tmp_path, hold_elsewhere_until_killed) as other:
        with pytest.raises(InputError, match=rf"process {other.pid} on elsewhere\.example"):
            enter(tmp_path)
        other.kill()
        other.join()
        assert enter(tmp_path) == replace(ELSEWHERE, pid=other.pid)


@pytest.mark.parametrize("sign", [HOLDER_FILE, "metrics.jsonl"])
def test_process_of_another_machine_that_gives_a_sign_is_refused(tmp_path, monkeypatch, sign):
    write(tmp_path, ELSEWHERE)
    monkeypatch.setattr(run_lock, "SILENCE_SECONDS", LONG_S)

    def give_a_sign(seconds: float) -> None:
        (tmp_path / sign).touch()
        os.utime(tmp_path / sign, (7, 7))  # an older time is a sign too

    monkeypatch.setattr(time, "sleep", give_a_sign)
    with pytest.raises(InputError, match=r"in use: process 1 on elsewhere\.example, last heard"):
        enter(tmp_path)
    assert read_holder(tmp_path) == ELSEWHERE


def test_file_system_without_locks_relies_on_signs_of_life(tmp_path, monkeypatch, capsys):
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with hold_run(tmp_path), pytest.raises(InputError, match="in use"):
        enter(tmp_path)
    write(tmp_path, replace(Holder.this_process(), pid=1))
    assert enter(tmp_path).pid == 1
    assert "watching" in capsys.readouterr().err


def test_system_lock_that_a_dead_machine_left_on_the_server_does_not_hold(tmp_path):
    write(tmp_path, ELSEWHERE)
    with filelock.FileLock(tmp_path / run_lock.SYSTEM_FILE):
        assert enter(tmp_path) == ELSEWHERE


def test_of_two_machines_that_take_over_at_once_the_earlier_gives_way(tmp_path, monkeypatch):
    write(tmp_path, ELSEWHERE)
    other = Holder("third.example", 3)
    sleep = time.sleep

    def other_follows(seconds: float) -> None:
        if seconds == run_lock.SETTLE_SECONDS:
            write(tmp_path, other)
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", other_follows)
    with pytest.raises(InputError, match=r"in use: process 3 on third\.example"):
        enter(tmp_path)
    assert read_holder(tmp_path) == other


def test_run_that_was_taken_over_is_not_written_any_more(tmp_path):
    with hold_run(tmp_path):
        check_held(tmp_path)
        write(tmp_path, ELSEWHERE)
        with pytest.raises(InputError, match=r"was taken over by process 1 on elsewhere\.example"):
            check_held(tmp_path)
    assert read_holder(tmp_path) == ELSEWHERE


# Earlier versions


def test_lock_of_an_earlier_version_is_taken_over_when_its_process_is_dead(tmp_path, monkeypatch):
    monkeypatch.setattr(run_lock, "SILENCE_SECONDS", LONG_S)
    with subprocess.Popen([sys.executable, "-c", ""]) as other:
        other.wait()
    text = f"{Holder.this_process().host} {other.pid}"
    (tmp_path / HOLDER_FILE).write_text(text, encoding="utf-8")
    assert enter(tmp_path).pid == other.pid


def test_lock_of_an_earlier_version_holds_while_its_process_lives(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        text = f"{Holder.this_process().host} {other.pid}"
        (tmp_path / HOLDER_FILE).write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=rf"in use: process {other.pid} on"):
            enter(tmp_path)
        other.communicate(b"\n")


@pytest.mark.parametrize("text", ["", "elsewhere.example 1", '{"host": "a"', "[1]", "\x00\xff"])
def test_any_other_lock_does_not_hold_for_ever(tmp_path, text):
    (tmp_path / HOLDER_FILE).write_text(text, encoding="utf-8")
    assert enter(tmp_path) is not None
    assert LOCK_FILES.isdisjoint(path.name for path in tmp_path.iterdir())


# The heartbeat


def wait_for_change(folder: Path) -> None:
    before = (folder / HOLDER_FILE).stat().st_mtime_ns
    while (folder / HOLDER_FILE).stat().st_mtime_ns == before:
        time.sleep(0.005)


def heartbeats() -> int:
    return sum(thread.name == "heartbeat" for thread in run_lock.threading.enumerate())


def test_heart_beats_while_the_run_is_held_and_stops_with_it(tmp_path):
    with hold_run(tmp_path):
        wait_for_change(tmp_path)
        wait_for_change(tmp_path)
        assert heartbeats() == 1
    assert heartbeats() == 0


def test_heart_outlives_a_disk_that_refuses_and_warns_once(tmp_path, monkeypatch, caplog):
    with hold_run(tmp_path):
        with monkeypatch.context() as full:
            failures: list[int] = []

            def refuse(*_: object) -> None:
                failures.append(1)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            full.setattr(os, "utime", refuse)
            while len(failures) < 3:
                time.sleep(0.005)
        wait_for_change(tmp_path)
    assert len(caplog.records) == 1
    assert "cannot renew" in caplog.text
    assert "No space left" in caplog.text


def test_heart_outlives_a_folder_that_vanishes(tmp_path):
    folder, away = tmp_path / "run", tmp_path / "away"
    folder.mkdir()
    with hold_run(folder):
        folder.rename(away)
        time.sleep(0.05)
        away.rename(folder)
        wait_for_change(folder)
    assert list(folder.iterdir()) == []


def test_file_that_somebody_deleted_is_written_again(tmp_path):
    with hold_run(tmp_path):
        (tmp_path / HOLDER_FILE).unlink()
        deadline = time.monotonic() + 60
        # Between the file's creation and its text there is a moment.
        while read_holder(tmp_path) != Holder.this_process():
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_full_disk_leaves_no_holder_behind(tmp_path, monkeypatch):
    def refuse() -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(run_lock, "_in_json", refuse)
    with pytest.raises(InputError, match="the disk is full"):
        enter(tmp_path)
    assert list(tmp_path.iterdir()) == []

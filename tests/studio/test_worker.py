"""The worker: one job after the other, in a bounded queue, and nothing that a job does ends it."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from smalti.config import InputError
from smalti.studio.worker import ENDS, Job, Models, QueueFullError, Worker

SECONDS = 10.0


class Heard:
    """The events of a job."""

    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []
        self.ended = threading.Event()

    def __call__(self, event: str, data: object) -> None:
        self.events.append((event, data))
        if event in ENDS:
            self.ended.set()

    def wait(self) -> list[tuple[str, object]]:
        assert self.ended.wait(SECONDS), self.events
        return self.events


class Gate:
    """A job that goes on when it is told to."""

    def __init__(self, worker: Worker) -> None:
        self.begun, self.open, self.heard = threading.Event(), threading.Event(), Heard()
        self.job = worker.submit(self._work, self.heard)
        assert self.begun.wait(SECONDS)

    def _work(self, job: Job) -> str:
        self.begun.set()
        assert self.open.wait(SECONDS)
        job.check()
        return "through"


def do(worker: Worker, work: Callable[[Job], object]) -> list[tuple[str, object]]:
    heard = Heard()
    worker.submit(work, heard)
    return heard.wait()


def test_a_job_tells_how_it_goes_and_ends_with_its_result(worker):
    def work(job: Job) -> int:
        job.tell("progress", {"done": 1})
        return 7

    told = do(worker, work)
    assert told[0] == ("position", {"ahead": 0})
    assert told[1:] == [("started", None), ("progress", {"done": 1}), ("done", 7)]


def test_jobs_run_one_after_another_and_hear_their_positions(worker):
    gate, first, second = Gate(worker), Heard(), Heard()
    worker.submit(lambda job: 1, first)
    worker.submit(lambda job: 2, second)
    assert first.events == [("position", {"ahead": 1})] * 2
    assert second.events == [("position", {"ahead": 2})]
    gate.open.set()
    assert first.wait()[-1] == ("done", 1)
    assert second.wait()[1:] == [("position", {"ahead": 1}), ("started", None), ("done", 2)]


def test_a_full_queue_refuses(worker):
    gate = Gate(worker)
    for _ in range(2):
        worker.submit(lambda job: None, Heard())
    with pytest.raises(QueueFullError):
        worker.submit(lambda job: None, Heard())
    gate.open.set()


def test_a_waiting_job_that_is_given_up_frees_its_place(worker):
    gate, given_up, next_one = Gate(worker), Heard(), Heard()
    job = worker.submit(lambda job: pytest.fail("it ran"), given_up)
    worker.submit(lambda job: "next", next_one)
    worker.cancel(job)
    assert given_up.wait()[-1] == ("cancelled", None)
    assert next_one.events[-1] == ("position", {"ahead": 1})
    worker.submit(lambda job: None, Heard())  # there is room again
    gate.open.set()
    assert next_one.wait()[-1] == ("done", "next")


def test_a_running_job_that_is_given_up_ends_at_its_next_check(worker):
    gate = Gate(worker)
    worker.cancel(gate.job)
    gate.open.set()
    assert gate.heard.wait() == [
        ("position", {"ahead": 0}),
        ("started", None),
        ("cancelled", None),
    ]


def test_giving_up_a_job_that_is_done_changes_nothing(worker):
    heard = Heard()
    job = worker.submit(lambda job: 1, heard)
    heard.wait()
    worker.cancel(job)
    assert [event for event, _ in heard.events if event in ENDS] == ["done"]


def test_wrong_input_is_told_in_its_own_words(worker):
    def work(job: Job) -> None:
        raise InputError("a code is 9; allowed are 0 to 7")

    assert do(worker, work)[-1] == ("failed", {"message": "a code is 9; allowed are 0 to 7"})


def test_a_model_that_raises_is_told_and_logged_and_the_worker_goes_on(worker, caplog):
    def work(job: Job) -> None:
        raise RuntimeError("no such kernel\nand much more")

    event, data = do(worker, work)[-1]
    assert event == "failed"
    assert data["message"] == "RuntimeError: no such kernel (the terminal shows more)"
    assert "no such kernel" in caplog.text
    assert do(worker, lambda job: 1)[-1] == ("done", 1)


def test_closing_gives_all_up():
    worker = Worker(torch.device("cpu"))
    gate, waiting = Gate(worker), Heard()
    worker.submit(lambda job: 1, waiting)
    gate.open.set()
    worker.close()
    assert waiting.wait()[-1] == ("cancelled", None)
    assert gate.heard.ended.is_set()


def model(folder: Path) -> Path:
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_text("{}", encoding="utf-8")
    return folder


def test_a_model_is_loaded_once_and_anew_when_its_file_changes(tmp_path):
    loaded: list[Path] = []

    def load(path: Path, device: torch.device) -> int:
        loaded.append(path)
        return len(loaded)

    models, path = Models(torch.device("cpu")), model(tmp_path / "a")
    assert [models.get(path, load), models.get(path, load)] == [1, 1]
    (path / "model.safetensors").touch()
    assert models.get(path, load) == 2


def test_two_models_are_kept(tmp_path):
    loaded: list[str] = []

    def load(path: Path, device: torch.device) -> str:
        loaded.append(path.name)
        return path.name

    models = Models(torch.device("cpu"))
    a, b, c = (model(tmp_path / name) for name in "abc")
    for path in (a, b, a, c, a, b):
        models.get(path, load)
    assert loaded == ["a", "b", "c", "b"]

"""The stream of a job's events ends with the job, and the job with the stream."""

import asyncio
import threading

from starlette.requests import Request
from starlette.responses import Response

from smalti.studio.streams import stream_job
from smalti.studio.worker import Job

SECONDS = 10.0


class App:
    def __init__(self, worker):
        self.state = self
        self.worker = worker


async def answer(worker, work, is_left: asyncio.Event) -> tuple[Response, list[bytes]]:
    """Ask for a job from a page that is closed when the event is set."""
    sent: list[bytes] = []

    async def receive():
        await is_left.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message.get("body", b""))

    scope = {"type": "http", "app": App(worker), "method": "POST", "asgi": {"spec_version": "2.3"}}
    response = stream_job(Request(scope, receive), work)
    await response(scope, receive, send)
    return response, sent


def test_a_closed_page_ends_its_running_job(worker):
    begun, ended = threading.Event(), threading.Event()

    def work(job: Job) -> None:
        begun.set()
        if job.cancelled.wait(SECONDS):
            ended.set()

    async def close_the_page() -> None:
        is_left = asyncio.Event()
        asked = asyncio.create_task(answer(worker, work, is_left))
        await asyncio.to_thread(begun.wait, SECONDS)
        is_left.set()
        await asked

    asyncio.run(close_the_page())
    assert ended.wait(SECONDS)


def test_a_closed_page_frees_its_place(worker):
    goes_on, ran = threading.Event(), []

    async def close_the_page() -> None:
        stays, is_left = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(answer(worker, lambda job: goes_on.wait(SECONDS), stays))
        waiting = [
            asyncio.create_task(answer(worker, lambda job: ran.append(1), is_left))
            for _ in range(2)
        ]
        await asyncio.sleep(0.05)
        is_left.set()
        await asyncio.gather(*waiting)
        third = asyncio.create_task(answer(worker, lambda job: "third", stays))
        await asyncio.sleep(0.05)
        goes_on.set()
        assert b'"third"' in (await third)[1][-2]
        await first

    asyncio.run(close_the_page())
    assert ran == []


def test_a_full_queue_is_told_at_once(worker):
    goes_on = threading.Event()

    async def ask_too_much() -> int:
        stays = asyncio.Event()
        asked = [
            asyncio.create_task(answer(worker, lambda job: goes_on.wait(SECONDS), stays))
            for _ in range(3)
        ]
        await asyncio.sleep(0.05)
        refused, _ = await answer(worker, lambda job: None, stays)
        goes_on.set()
        await asyncio.gather(*asked)
        return refused.status_code

    assert asyncio.run(ask_too_much()) == 503

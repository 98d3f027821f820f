"""A studio that is told to end gives up what it computes, without a traceback in the terminal."""

import logging
import socket
import threading
import urllib.request
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from smalti.studio.server import Server
from smalti.studio.streams import stream_job
from smalti.studio.worker import Job, Worker

SECONDS = 10.0


@pytest.fixture
def errors(caplog) -> Iterator[list[str]]:
    """What uvicorn logs, which does not pass it on to others."""
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(caplog.handler)
    yield caplog.messages
    logger.removeHandler(caplog.handler)


def test_a_running_job_is_given_up(worker: Worker, errors):
    begun = threading.Event()

    def work(job: Job) -> None:
        begun.set()
        job.cancelled.wait(SECONDS)
        job.check()

    async def answer(request: Request) -> Response:
        return stream_job(request, work)

    app = Starlette(routes=[Route("/", answer)])
    app.state.worker = worker
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(app)
        serving = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        serving.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with urllib.request.urlopen(address, timeout=SECONDS) as response:
            assert begun.wait(SECONDS)
            server.should_exit = True
            told = response.read().decode()
        serving.join(SECONDS)
    assert told.rstrip().endswith("event: cancelled\ndata: null")
    assert errors == []

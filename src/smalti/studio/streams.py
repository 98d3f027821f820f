"""Answers of the server: plain data as JSON, and the events of a job as they happen.

The answer to a request for a job is a stream of server-sent events, which ends with the job. A
page that is closed, or that stops reading, ends the request and with it the job.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import torch
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from smalti.files import json_text
from smalti.studio.library import Entry
from smalti.studio.worker import ENDS, Job, QueueFullError, Work, Worker

T = TypeVar("T")


def json_response(value: object, status: int = 200) -> Response:
    """Answer with plain data as JSON."""
    return Response(json_text(value), status, media_type="application/json")


def problem(message: str, status: int) -> Response:
    """Answer that something is wrong, in a line for people."""
    return json_response({"message": message}, status)


def stream_job(request: Request, work: Work) -> Response:
    """Put a job into the queue and answer with its events; with status 503 if the queue is full."""
    worker: Worker = request.app.state.worker
    loop = asyncio.get_running_loop()
    events: asyncio.Queue[tuple[str, object]] = asyncio.Queue()

    def listener(event: str, data: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(events.put_nowait, (event, data))

    try:
        job = worker.submit(work, listener)
    except QueueFullError:
        return problem("too much is waiting already; try again when something is done", 503)
    # The task runs at the end of the request, also when it ends because the page was closed.
    left = BackgroundTask(worker.cancel, job)
    return StreamingResponse(_until_end(events), media_type="text/event-stream", background=left)


def stream_model_job(
    request: Request,
    entry: Entry,
    folder: Path,
    load: Callable[[Path, torch.device], T],
    asked: Callable[[T, Entry, Job], object],
) -> Response:
    """Answer with the events of a job that computes with a model, see `stream_job`.

    Args:
        request: the request.
        entry: the run or model that it names.
        folder: where the model is.
        load: loads the model onto a device, if the worker does not have it.
        asked: what is computed, given the model, the entry and the job.
    """
    worker: Worker = request.app.state.worker

    def work(job: Job) -> object:
        entry.check_exists()
        return asked(worker.models.get(folder, load), entry, job)

    return stream_job(request, work)


async def _until_end(events: "asyncio.Queue[tuple[str, object]]") -> AsyncIterator[str]:
    event = ""
    while event not in ENDS:
        event, data = await events.get()
        yield f"event: {event}\ndata: {json_text(data)}\n\n"

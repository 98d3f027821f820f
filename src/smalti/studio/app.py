"""The studio's server: the page's files, the addresses of its tabs, the worker and the guard."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from smalti.annotate.base import Annotator
from smalti.config import InputError
from smalti.studio import codes, make, runs
from smalti.studio.guard import Guard
from smalti.studio.library import Library
from smalti.studio.requests import UnknownError
from smalti.studio.streams import json_response, problem
from smalti.studio.uploads import MOST_BYTES
from smalti.studio.worker import Worker

STATIC = Path(__file__).parent / "static"


def build_app(
    library: Library,
    worker: Worker,
    token: str,
    host: str = "127.0.0.1",
    annotators: Mapping[str, Annotator] | None = None,
) -> Starlette:
    """Put the server together.

    Args:
        library: the runs and models that it shows.
        worker: computes with the models; it is closed with the server.
        token: the secret that each request must carry, see `Guard`.
        host: on which the server listens.
        annotators: what makes maps and poses of photographs, by the kind of condition.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        worker.close()

    app = Starlette(
        routes=[
            Route("/", _page),
            Route("/api/library", _library),
            *codes.ROUTES,
            *make.ROUTES,
            *runs.ROUTES,
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[
            Middleware(Guard, token=token, host=host),
            Middleware(RequestBodyLimitMiddleware, max_body_size=MOST_BYTES),
        ],
        exception_handlers={
            InputError: _refused,
            UnknownError: _unknown,
            HTTPException: _http_problem,
        },
        lifespan=lifespan,
    )
    app.state.library, app.state.worker = library, worker
    app.state.annotators = annotators or {}
    return app


def _page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


def _library(request: Request) -> Response:
    """The runs and models that are there now, and where they are looked for."""
    library: Library = request.app.state.library
    entries = [
        {"id": entry.id, "name": entry.name, "kind": entry.kind, "is_run": entry.is_run}
        for entry in library.entries()
    ]
    return json_response({"entries": entries, "places": [str(root) for root in library.roots]})


def _refused(request: Request, error: Exception) -> Response:
    return problem(str(error), 400)


def _unknown(request: Request, error: Exception) -> Response:
    return problem(str(error), 404)


def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.detail, error.status_code)

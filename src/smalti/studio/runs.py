"""The addresses of the tab *Runs*."""

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from smalti.config import InputError
from smalti.studio.library import Library
from smalti.studio.requests import entry_of, find_entry, whole_number
from smalti.studio.run_view import (
    MOST_COMPARED,
    described,
    differences,
    listed,
    new_lines,
    picture_file,
)
from smalti.studio.streams import json_response


def all_runs(request: Request) -> Response:
    """The runs that are there now, each with its state; those that train come first."""
    library: Library = request.app.state.library
    found = [listed(entry) for entry in library.entries() if entry.is_run]
    return json_response(sorted(found, key=lambda run: run["state"] != "training"))


def one_run(request: Request) -> Response:
    """Answer with one run: its health in words, facts, last scores and pictures."""
    return json_response(described(entry_of(request)))


def lines(request: Request) -> Response:
    """The lines of a run's metrics that the page has not had yet."""
    file, start = request.query_params.get("file", ""), whole_number(request, "start")
    return json_response(new_lines(entry_of(request), file, start))


def picture(request: Request) -> Response:
    """A picture of a run."""
    return FileResponse(picture_file(entry_of(request), request.path_params["name"]))


def comparison(request: Request) -> Response:
    """The options in which two to four runs differ."""
    ids = list(dict.fromkeys(request.query_params.getlist("id")))
    if not 2 <= len(ids) <= MOST_COMPARED:
        raise InputError(f"2 to {MOST_COMPARED} runs are compared, got {len(ids)}")
    return json_response(differences([find_entry(request, id) for id in ids]))


ROUTES = [
    Route("/api/runs", all_runs),
    Route("/api/runs/compared", comparison),
    Route("/api/runs/{id}", one_run),
    Route("/api/runs/{id}/lines", lines),
    Route("/api/runs/{id}/pictures/{name}", picture),
]

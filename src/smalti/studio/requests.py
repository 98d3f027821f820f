"""What the addresses of all tabs need of a request: the run or model that it names, and numbers."""

import re
from typing import Any

from starlette.requests import Request

from smalti.config import InputError
from smalti.plain_data import read_json
from smalti.studio.library import Entry, Library


class UnknownError(Exception):
    """A request names a run or model that does not exist, or no longer."""


def entry_of(request: Request) -> Entry:
    """The run or model that the address names.

    Raises:
        UnknownError: there is none, or none any more.
    """
    return find_entry(request, request.path_params["id"])


def find_entry(request: Request, id: str) -> Entry:
    """The run or model with an id.

    Raises:
        UnknownError: there is none, or none any more.
    """
    library: Library = request.app.state.library
    entry = library.find(id)
    if entry is None:
        raise UnknownError("this run or model is not there, or no longer")
    return entry


def whole_number(request: Request, name: str) -> int:
    """A number of the address's query, 0 if it is left out.

    Raises:
        InputError: it is no whole number of at most 15 digits.
    """
    text = request.query_params.get(name, "0")
    if not re.fullmatch("[0-9]{1,15}", text):
        raise InputError(f"{name} must be a whole number of at most 15 digits, got {text[:40]!r}")
    return int(text)


async def json_body(request: Request) -> dict[str, Any]:
    """The JSON object that a request carries.

    Raises:
        InputError: it carries something else.
    """
    text = (await request.body()).decode(errors="replace")
    try:
        value = read_json(text, "the request")
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError("the request must be a JSON object") from error
    if not isinstance(value, dict):
        raise InputError("the request must be a JSON object")
    return value

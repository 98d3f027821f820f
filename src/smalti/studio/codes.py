"""The addresses of the tab *Codes*. All compute with a model, so all answer with a job's events."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from smalti.config import InputError
from smalti.studio.codebook import Codebook, Encoded, data_url, strip
from smalti.studio.examples import Examples
from smalti.studio.library import Entry
from smalti.studio.requests import entry_of, json_body, whole_number
from smalti.studio.streams import stream_model_job
from smalti.studio.uploads import decode_upload
from smalti.studio.worker import Job


@dataclass(slots=True)
class Opened:
    """A tokenizer that the worker keeps, with the images of its run once they were asked for."""

    codebook: Codebook
    examples: Examples | None = None

    @classmethod
    def load(cls, path: Path, device: torch.device) -> Self:
        """Load the tokenizer of a run or folder.

        Raises:
            InputError: as `Codebook.load`.
        """
        return cls(Codebook.load(path, device))

    def examples_of(self, entry: Entry, job: Job) -> Examples:
        """Images of the run's data, encoded when they are asked for the first time.

        Raises:
            InputError: as `Examples.of`.
        """
        if self.examples is None:
            self.examples = Examples.of(entry, self.codebook, job)
        return self.examples


Asked = Callable[[Opened, Entry, Job], object]
"""What a request asks of an open tokenizer, with the run or model that it belongs to."""


def _answer(request: Request, asked: Asked) -> Response:
    """Put a request for the tokenizer that the address names into the worker's queue."""
    entry = entry_of(request)
    return stream_model_job(request, entry, entry.tokenizer, Opened.load, asked)


async def facts(request: Request) -> Response:
    """Load a tokenizer and say what it is."""
    return _answer(request, lambda opened, entry, job: opened.codebook.facts())


async def swatches(request: Request) -> Response:
    """Swatches of some of the codes that the request carries, side by side in one picture."""
    codes = (await json_body(request)).get("codes")

    def asked(opened: Opened, entry: Entry, job: Job) -> object:
        found = opened.codebook.swatches(codes, job)
        return {"codes": [*found], "image": data_url(strip([*found.values()]))}

    return _answer(request, asked)


async def use(request: Request) -> Response:
    """Images of the run's data, and how often they use each code."""

    def asked(opened: Opened, entry: Entry, job: Job) -> object:
        examples = opened.examples_of(entry, job)
        return {
            "scored": examples.scored,
            "counts": examples.counts(opened.codebook.tokenizer.codebook_size),
            "images": [data_url(picture) for picture in examples.pictures],
        }

    return _answer(request, asked)


async def patches(request: Request) -> Response:
    """Pieces of the run's images that use a code."""
    code = whole_number(request, "code")

    def asked(opened: Opened, entry: Entry, job: Job) -> object:
        return [data_url(patch) for patch in opened.examples_of(entry, job).patches(code)]

    return _answer(request, asked)


async def likeness(request: Request) -> Response:
    """All codes by their likeness to one."""
    code = whole_number(request, "code")
    return _answer(request, lambda opened, entry, job: opened.codebook.by_likeness(code))


async def encode_upload(request: Request) -> Response:
    """Encode the picture whose file the request carries."""
    content = await request.body()

    def asked(opened: Opened, entry: Entry, job: Job) -> object:
        codebook = opened.codebook
        picture = decode_upload(content, codebook.reader, codebook.longest_px)
        return _encoded(codebook.encode(picture))

    return _answer(request, asked)


async def encode_example(request: Request) -> Response:
    """Encode an image of the run's data, by its number in the answer of `use`."""
    number = whole_number(request, "number")

    def asked(opened: Opened, entry: Entry, job: Job) -> object:
        examples = opened.examples_of(entry, job)
        if number >= len(examples.pictures):
            raise InputError(f"there are {len(examples.pictures)} images, got number {number}")
        return _encoded(examples.encoded(number, opened.codebook))

    return _answer(request, asked)


def _encoded(encoded: Encoded) -> dict[str, Any]:
    return {
        "codes": encoded.codes.tolist(),
        "image": data_url(encoded.picture),
        "reconstruction": data_url(encoded.reconstruction),
    }


async def decode(request: Request) -> Response:
    """Decode the grid of codes that the request carries."""
    rows = (await json_body(request)).get("codes")

    def asked(opened: Opened, entry: Entry, job: Job) -> object:
        return {"image": data_url(opened.codebook.decode(rows))}

    return _answer(request, asked)


ROUTES = [
    Route(f"/api/codes/{{id}}/{name}", endpoint, methods=["POST"])
    for name, endpoint in {
        "facts": facts,
        "swatches": swatches,
        "use": use,
        "patches": patches,
        "likeness": likeness,
        "encode": encode_upload,
        "example": encode_example,
        "decode": decode,
    }.items()
]

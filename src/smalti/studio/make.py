"""The addresses of the tabs *Make*, *Complete* and *Surprise*, which all compute with a prior."""

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import ImageOps
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from smalti.config import InputError
from smalti.content_images import content_images
from smalti.data.readers import reader_of
from smalti.progress import Watch
from smalti.sampling.completion import Margins, begin
from smalti.sampling.scoring import score_codes
from smalti.studio.codebook import data_url
from smalti.studio.condition_files import (
    SizePx,
    asked_of,
    decoded,
    fit,
    of_labels,
    of_photograph,
    within,
)
from smalti.studio.library import Entry
from smalti.studio.prior import MOST_IMAGES, OpenedPrior, drawing_of, whole
from smalti.studio.requests import UnknownError, entry_of, json_body, whole_number
from smalti.studio.streams import stream_model_job
from smalti.studio.uploads import decode_upload
from smalti.studio.worker import Job

MOST_SEED = 2**31 - 1
PASTE_PX = 8
"""Known pixels beside a completed part that are mixed with those of the result."""
LONGEST_PX = 1024
"""Longer side of a photograph that is completed or scored."""

SIDES = ("top", "bottom", "left", "right")
"""On which a canvas grows."""

Asked = Callable[[OpenedPrior, Entry, Job], object]
"""What a request asks of a prior."""


def _answer(request: Request, asked: Asked) -> Response:
    """Put a request for the prior that the address names into the worker's queue."""
    entry = entry_of(request)
    if entry.kind != "prior":
        raise UnknownError(f"{entry.name} is no prior")
    return stream_model_job(request, entry, entry.path, OpenedPrior.load, asked)


async def facts(request: Request) -> Response:
    """Load a prior and say what it is, and which conditions a network makes of a photograph."""
    more = {"annotated": sorted(request.app.state.annotators)}
    return _answer(
        request, lambda opened, entry, job: opened.facts() | more | {"path": str(entry.path)}
    )


async def condition(request: Request) -> Response:
    """Make a condition of the file that the request carries, which may be a photograph.

    A photograph may lie within margins of a canvas that has grown.
    """
    kind = request.query_params.get("kind", "")
    size = [whole_number(request, "height"), whole_number(request, "width")]
    margins = Margins(**{side: whole_number(request, side) for side in SIDES})
    content = await request.body()
    annotator = None
    if whole_number(request, "photograph"):
        annotator = request.app.state.annotators.get(kind)
        if annotator is None:
            raise InputError(
                f"start the studio with --annotate-{kind[:40]} to make it of photographs"
            )

    def asked(opened: OpenedPrior, entry: Entry, job: Job) -> object:
        known, wanted = opened.condition(kind), opened.size_of(size)
        file = content if margins == Margins() else within(content, wanted, margins)
        if annotator is not None:
            return of_photograph(known, annotator, file, wanted)
        return fit(known, file, wanted)

    return _answer(request, asked)


async def labels(request: Request) -> Response:
    """Make the file of a painted label map."""
    sent = await json_body(request)

    def asked(opened: OpenedPrior, entry: Entry, job: Job) -> object:
        size = opened.size_of(sent.get("size"))
        return of_labels(opened.condition("segmentation"), sent.get("labels"), size)

    return _answer(request, asked)


async def make(request: Request) -> Response:
    """Answer with images that a prior draws, told cell by cell while they are drawn."""
    sent = await json_body(request)

    def asked(opened: OpenedPrior, entry: Entry, job: Job) -> object:
        pipeline, config = opened.pipeline, drawing_of(sent)
        size, seed = opened.size_of(sent.get("size")), whole(sent, "seed", 0, MOST_SEED)
        count = whole(sent, "n", 1, MOST_IMAGES)
        with tempfile.TemporaryDirectory() as folder:
            conditions = asked_of(pipeline, sent.get("conditions"), Path(folder))
            wanted = pipeline.request(count, conditions, (size.height, size.width))
        pipeline.check_sampling(config, (wanted.height, wanted.width))
        job.tell("grid", {"rows": wanted.height, "columns": wanted.width})
        codes = opened.draw(job, wanted, seed, config, wanted.blank_canvas(pipeline.device))
        # Decoded together, as the command does: one by one they would differ by rounding.
        files = [data_url(one) for one in pipeline.pictures(codes)]
        is_shown = pipeline.tokenizer.content.kind == "rgb"
        return {"images": files if is_shown else opened.shown(codes), "files": files}

    return _answer(request, asked)


async def photograph(request: Request) -> Response:
    """Make a photograph ready: of a length asked for, cropped to whole codes.

    The sides are multiples of `multiple` pixels, if that is asked for another prior's sake.
    """
    content, shortest = await request.body(), whole_number(request, "shortest")
    multiple = whole_number(request, "multiple")

    def asked(opened: OpenedPrior, entry: Entry, job: Job) -> object:
        return _photograph(opened, content, shortest, multiple or opened.pipeline.factor)

    return _answer(request, asked)


def _photograph(
    opened: OpenedPrior, content: bytes, shortest: int, multiple: int
) -> dict[str, Any]:
    pipeline, tokenizer = opened.pipeline, opened.pipeline.tokenizer
    if not min(pipeline.size) <= shortest <= LONGEST_PX:
        least = min(pipeline.size)
        raise InputError(f"the shorter side must be {least} to {LONGEST_PX} pixels, got {shortest}")
    reader = reader_of(tokenizer.content)
    picture = decode_upload(content, reader, 4 * LONGEST_PX)
    height, width = pipeline.size
    if opened.can_grow:
        scale = shortest / min(picture.size)
        width, height = (round(side * scale) // multiple * multiple for side in picture.size)
    opened.size_of([height, width])
    resized = ImageOps.fit(picture, (width, height), reader.resampling)
    images = content_images(tokenizer.content)
    image = reader.to_image(resized)
    return {
        "file": data_url(images.to_picture(image)),
        "shown": data_url(images.draw(image)),
        "height": height,
        "width": width,
    }


async def complete(request: Request) -> Response:
    """Complete a photograph."""
    sent = await json_body(request)

    def asked(opened: OpenedPrior, entry: Entry, job: Job) -> object:
        pipeline, config = opened.pipeline, drawing_of(sent)
        reader = reader_of(pipeline.tokenizer.content)
        picture = decode_upload(decoded(sent.get("file")), reader, LONGEST_PX)
        missing = _missing(sent.get("missing"), opened.pipeline.factor, picture.size)
        sides = {side: whole(sent, side, 0, LONGEST_PX) for side in SIDES}
        size = SizePx(
            picture.height + sides["top"] + sides["bottom"],
            picture.width + sides["left"] + sides["right"],
        )
        opened.size_of([size.height, size.width])
        count = whole(sent, "n", 1, MOST_IMAGES)
        seed = whole(sent, "seed", 0, MOST_SEED)
        with tempfile.TemporaryDirectory() as folder:
            conditions = asked_of(pipeline, sent.get("conditions"), Path(folder))
            begun = begin(pipeline, picture, missing, count, conditions, Margins(**sides))
        pipeline.check_sampling(config, (begun.request.height, begun.request.width))
        job.tell("grid", {"rows": begun.request.height, "columns": begun.request.width})
        job.tell("rows", {"rows": 0, "images": opened.shown(begun.canvas.codes[:1]) * count})
        codes = opened.draw(job, begun.request, seed, config, begun.canvas)
        blend_px = PASTE_PX if sent.get("paste") is True else None
        pictures = [data_url(one) for one in begun.pictures(pipeline, codes, blend_px)]
        return {"images": pictures, "files": pictures}

    return _answer(request, asked)


def _missing(sent: object, factor: int, size: tuple[int, int]) -> torch.Tensor:
    """Which pixels are made anew, (height, width) bool, by the squares that a page sent."""
    width, height = size
    rows, columns = height // factor, width // factor
    is_grid = isinstance(sent, list) and len(sent) == rows * columns
    if not is_grid or not all(one in (0, 1) for one in sent):  # type: ignore[attr-defined]
        raise InputError(f"missing must be a list of {rows * columns} zeros and ones")
    squares = torch.tensor(sent, dtype=torch.bool).view(rows, columns)
    return squares.repeat_interleave(factor, 0).repeat_interleave(factor, 1)


async def surprise(request: Request) -> Response:
    """How many bits each code of a photograph costs."""
    sent = await json_body(request)

    def asked(opened: OpenedPrior, entry: Entry, job: Job) -> object:
        pipeline = opened.pipeline
        reader = reader_of(pipeline.tokenizer.content)
        picture = decode_upload(decoded(sent.get("file")), reader, LONGEST_PX)
        size = opened.size_of([picture.height, picture.width])
        with tempfile.TemporaryDirectory() as folder:
            conditions = asked_of(pipeline, sent.get("conditions"), Path(folder))
            wanted = pipeline.request(1, conditions, (size.height, size.width))
        image = reader.to_image(picture)[None].to(pipeline.device)
        codes = pipeline.tokenizer.encode_in_tiles(image)
        watch = Watch(cancelled=job.cancelled)
        stride = drawing_of(sent).stride
        nats = score_codes(pipeline, codes, wanted.values, stride=stride, watch=watch)
        return {
            "bits": (nats[0] / math.log(2)).tolist(),
            "knowing_nothing": math.log2(pipeline.config.codebook_size),
            "reconstruction": opened.shown(codes)[0],
        }

    return _answer(request, asked)


ROUTES = [
    Route(f"/api/prior/{{id}}/{name}", endpoint, methods=["POST"])
    for name, endpoint in {
        "facts": facts,
        "condition": condition,
        "labels": labels,
        "make": make,
        "photograph": photograph,
        "complete": complete,
        "surprise": surprise,
    }.items()
]

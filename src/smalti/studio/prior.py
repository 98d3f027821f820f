"""A prior that the studio keeps: what a page needs to know of it, and how it draws before the eyes.

Axes: n images, H/W grid of codes, K codebook size, f down-sampling factor.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from smalti.conditions import Condition
from smalti.conditions.class_label import ClassLabel
from smalti.conditions.grid import SpatialCondition
from smalti.conditions.keypoints import Keypoints
from smalti.config import InputError
from smalti.content import LabelsContent
from smalti.content_images import content_images, label_colours
from smalti.sampling.canvas import Canvas
from smalti.sampling.config import SamplingConfig, sampling_config
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.request import Request
from smalti.sampling.stream import DrawnCells
from smalti.studio.codebook import Codebook, data_url, strip
from smalti.studio.condition_files import SizePx
from smalti.studio.worker import Job

MOST_CELLS = 64 * 64
"""Codes of an image that a page may ask for."""
MOST_IMAGES = 4
"""Images that are drawn together."""
DECODING_SHARE = 0.25
"""Most of the time that is spent on decoding images that are not finished."""
DRAWING = ("temperature", "top_k", "top_p", "guidance", "stride")
"""Options of drawing that a page may send."""


@dataclass(slots=True)
class OpenedPrior:
    """A pipeline, and the swatches of its codes."""

    pipeline: Pipeline
    codebook: Codebook

    @classmethod
    def load(cls, path: Path, device: torch.device) -> Self:
        """Load a prior with its tokenizers.

        Raises:
            InputError: there is none, or it is damaged.
        """
        pipeline = Pipeline.from_pretrained(path).to(device)
        return cls(pipeline, Codebook(pipeline.tokenizer, device))

    @property
    def can_grow(self) -> bool:
        """Whether the prior makes images larger than its window."""
        return self.pipeline.config.ordering == "row_major"

    def facts(self) -> dict[str, Any]:
        """What a page needs to know."""
        pipeline, config = self.pipeline, self.pipeline.config
        conditions = pipeline.conditioning.conditions
        is_local = config.prior.kind == "local"  # it has no window that could stride
        return {
            "size": list(pipeline.size),
            "cell_px": pipeline.tokenizer.downsampling_factor,
            "factor": pipeline.factor,
            "codebook_size": config.codebook_size,
            "content": pipeline.tokenizer.content.kind,
            "can_grow": self.can_grow,
            "most_stride": 1 if is_local else config.grid_width - config.grid_width // 2,
            "can_guide": config.condition_drop > 0 and bool(config.condition_kinds),
            "conditions": [_condition_facts(one) for one in conditions if one.is_asked],
        }

    def condition(self, kind: str) -> Condition[Any]:
        """The condition of a kind, which a file tells.

        Raises:
            InputError: the prior has none, or it is told by a word.
        """
        for condition in self.pipeline.conditioning.conditions:
            if condition.kind == kind and isinstance(condition, SpatialCondition | Keypoints):
                return condition
        raise InputError(f"this prior reads no files of the condition {kind[:40]!r}")

    def size_of(self, sent: object) -> SizePx:
        """Height and width in pixels that a page sent.

        Raises:
            InputError: the prior cannot make that size, or it is too large.
        """
        if not isinstance(sent, list) or len(sent) != 2 or not all(map(_is_whole, sent)):
            raise InputError("the size must be two whole numbers, height and width")
        rows, columns = self.pipeline.cells_of(*sent)
        if rows * columns > MOST_CELLS:
            raise InputError(
                f"{rows}x{columns} codes are too many for the page; allowed are {MOST_CELLS:,}"
            )
        return SizePx(*sent)

    def draw(
        self, job: Job, request: Request, seed: int, config: SamplingConfig, canvas: Canvas
    ) -> Tensor:
        """Draw the unknown codes of a canvas, telling of each and of what is decoded meanwhile.

        Returns:
            Codes (n, H, W) int64 in [0, K).
        """
        show = _Show(self, job, canvas)
        events = self.pipeline.stream_codes(
            request, seed, canvas=canvas, config=config, cancelled=job.cancelled
        )
        for event in events:
            show.tell(event)
        job.check()
        return canvas.codes

    def shown(self, codes: Tensor) -> list[str]:
        """Decode codes (n, H, W) into pictures to look at, as addresses that hold them."""
        draw = content_images(self.pipeline.tokenizer.content).draw
        images = (image for row in torch.split(codes, 1) for image in self.pipeline.decode(row))
        return [data_url(draw(image)) for image in images]


class _Show:
    """Tells a page of the cells of a canvas, each once, and of the rows that are finished.

    Args:
        opened: the prior.
        job: hears of all.
        canvas: on which is drawn.
    """

    def __init__(self, opened: OpenedPrior, job: Job, canvas: Canvas) -> None:
        self._opened, self._job, self._canvas = opened, job, canvas
        unknown = (~canvas.known).expand_as(canvas.codes).cpu()
        self._unknown = unknown.tolist()
        self._left_in_row = unknown.sum((0, 2)).tolist()
        self._total, self._done, self._rows = int(unknown.sum()), 0, self._finished_rows()
        self._has_known = self._total < unknown.numel()
        self._told: set[int] = set()
        self._decode_after = 0.0

    def tell(self, event: DrawnCells) -> None:
        """Tell of some cells, with the swatches of codes that come the first time."""
        cells = [one for one in event.cells if self._unknown[one.image][one.row][one.column]]
        for cell in cells:
            self._left_in_row[cell.row] -= 1
        self._done += len(cells)
        new = sorted({cell.code for cell in cells} - self._told)
        swatches = self._opened.codebook.swatches(new, self._job) if new else {}
        self._told |= swatches.keys()
        told = {
            "cells": [[cell.image, cell.row, cell.column, cell.code] for cell in cells],
            "codes": [*swatches],
            "swatches": data_url(strip([*swatches.values()])) if swatches else None,
        }
        self._job.tell("cells", told)
        self._job.tell("progress", {"done": self._done, "of": self._total})
        self._decode_rows()

    def _decode_rows(self) -> None:
        """Decode what is drawn after each row, unless that took long the last time."""
        rows, started = self._finished_rows(), time.monotonic()
        if rows == self._rows or started < self._decode_after or self._done == self._total:
            return
        self._rows = rows
        # Of a canvas with a photograph all cells hold codes that fit.
        shown = len(self._left_in_row) if self._has_known else rows
        pictures = self._opened.shown(self._canvas.codes[:, :shown])
        self._job.tell("rows", {"rows": rows, "shown": shown, "images": pictures})
        now = time.monotonic()
        self._decode_after = now + (now - started) * (1 / DECODING_SHARE - 1)

    def _finished_rows(self) -> int:
        """Rows from the top in which nothing is left to draw."""
        for row, left in enumerate(self._left_in_row):
            if left:
                return row
        return len(self._left_in_row)


def _condition_facts(condition: Condition[Any]) -> dict[str, Any]:
    """What a page needs to know of a condition."""
    facts: dict[str, Any] = {"kind": condition.kind, "is_picture": False}
    if isinstance(condition, ClassLabel):
        return facts | {"classes": list(condition.config.class_names)}
    if not isinstance(condition, SpatialCondition):
        return facts
    content = condition.config.content
    if isinstance(content, LabelsContent):
        facts["palette"] = label_colours(content.classes).tolist()
        facts["labels"] = content.class_names
    return facts | {"is_picture": True}


def drawing_of(sent: dict[str, Any]) -> SamplingConfig:
    """The options of drawing in what a page sent.

    Raises:
        InputError: a value is not allowed.
    """
    return sampling_config(**{name: sent[name] for name in DRAWING if name in sent})


def whole(sent: dict[str, Any], name: str, least: int, most: int) -> int:
    """A whole number in what a page sent.

    Raises:
        InputError: it is none, or out of range.
    """
    value = sent.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"{name} must be a whole number from {least} to {most}, got {value!r}")
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)

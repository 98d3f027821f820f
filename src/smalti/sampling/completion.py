"""Completes photographs: draws a missing area, or what lies around the photograph.

Known codes are kept and the others drawn, in the prior's order: a drawn code depends on the known
codes before it only.

Axes: H/W size of the canvas in pixels, h/w its grid of codes, f down-sampling factor, n images.
Reference: arXiv:2012.09841, App. C "Comparison to Image-GPT", Figs. 11 and 12: the upper half of
    an image is kept.
"""

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from smalti.conditions.asked import Asked
from smalti.config import InputError
from smalti.progress import OnProgress
from smalti.ranges import from_pil, to_pil
from smalti.sampling.canvas import Canvas
from smalti.sampling.config import SamplingConfig
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.request import Request


@dataclass(frozen=True, slots=True)
class Margins:
    """Pixels to add on each side of a photograph."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A canvas with a photograph on it."""

    image: Tensor
    """Image (3, H, W) float32 in [-1, 1]; unknown pixels have the colour of the nearest known
    one."""
    known: Tensor
    """Whether to keep each pixel, (H, W) bool."""


def place(photograph: Image.Image, missing: Tensor, margins: Margins) -> Unfinished:
    """Lay a photograph on its canvas.

    Args:
        photograph: RGB.
        missing: (height, width) bool, pixels of the photograph to make anew.
        margins: what to add around it.

    Raises:
        InputError: the mask is of another size, everything is missing, or nothing is.
    """
    size = (photograph.height, photograph.width)
    if tuple(missing.shape) != size:
        raise InputError(
            f"the mask is {missing.shape[0]}x{missing.shape[1]}, but the photograph "
            f"{size[0]}x{size[1]} (height x width); both must have the same size"
        )
    sides = (margins.left, margins.right, margins.top, margins.bottom)
    known = torch.nn.functional.pad(~missing, sides, value=False)
    if known.all():
        raise InputError("nothing is to be completed: the mask marks no pixel, and no side grows")
    if not known.any():
        raise InputError("nothing is known: the mask marks every pixel")
    image = torch.nn.functional.pad(from_pil(photograph), sides)
    return Unfinished(fill_from_nearest(image, known), known)


def fill_from_nearest(image: Tensor, known: Tensor) -> Tensor:
    """Give pixels of an image (3, H, W) not in `known`, (H, W) bool, the nearest known colour.

    So the encoder neither sees what was there, nor an edge that is not there.
    """
    from scipy.ndimage import distance_transform_edt  # slow to import, and only needed here

    nearest: NDArray[np.int32] = distance_transform_edt(
        ~known.numpy(), return_distances=False, return_indices=True
    )
    rows, columns = torch.from_numpy(nearest).long()
    return image[:, rows, columns]


def pad_to_multiple(unfinished: Unfinished, factor: int) -> Unfinished:
    """Lengthen a canvas at the right and the bottom, so that its sides divide by a factor."""
    height, width = unfinished.known.shape
    sides = (0, -width % factor, 0, -height % factor)
    image = torch.nn.functional.pad(unfinished.image, sides, mode="replicate")
    return Unfinished(image, torch.nn.functional.pad(unfinished.known, sides, value=False))


def known_cells(known: Tensor, factor: int) -> Tensor:
    """Whether all pixels of each cell are known, (H / f, W / f) bool, from pixels (H, W) bool."""
    height, width = known.shape
    blocks = known.view(height // factor, factor, width // factor, factor)
    return blocks.all(3).all(1)


def paste(made: Tensor, unfinished: Unfinished, blend_px: int) -> Tensor:
    """Put the known pixels back into a completed image.

    Args:
        made: (3, H, W) float32 in [-1, 1], as the tokenizer decodes it.
        unfinished: the canvas; pixels that are known come from its image.
        blend_px: width in known pixels, beside the missing ones, over which both images are mixed;
            0 mixes none.

    Returns:
        (3, H, W) float32 in [-1, 1].
    """
    from scipy.ndimage import distance_transform_edt

    distance = torch.from_numpy(distance_transform_edt(unfinished.known.numpy())).float()
    share = (distance / (blend_px + 1)).clamp(max=1.0)  # 0 where missing, 1 deep inside the known
    return share * unfinished.image + (1 - share) * made


@dataclass(frozen=True, slots=True)
class Begun:
    """A completion whose unknown codes are still to be drawn."""

    request: Request
    canvas: Canvas
    """Codes (n, h, w) of the photograph, and which of them are kept."""
    unfinished: Unfinished
    """The photograph on its canvas, whose sides divide into codes."""
    size_px: tuple[int, int]
    """Height and width of the results: the photograph's with its margins."""

    def pictures(
        self, pipeline: Pipeline, codes: Tensor, blend_px: int | None
    ) -> list[Image.Image]:
        """Decode completed codes (n, h, w) into RGB pictures; `blend_px` as in `complete`."""
        made = [image.cpu() for row in torch.split(codes, 1) for image in pipeline.decode(row)]
        if blend_px is not None:
            made = [paste(image, self.unfinished, blend_px) for image in made]
        height, width = self.size_px
        return [to_pil(image[:, :height, :width]) for image in made]


def begin(
    pipeline: Pipeline,
    photograph: Image.Image,
    missing: Tensor,
    n: int,
    condition: Asked,
    margins: Margins,
) -> Begun:
    """Lay a photograph on its canvas and encode it; the arguments are those of `complete`.

    To see the codes as they are drawn, give `request` and `canvas` of the result to
    `Pipeline.stream_codes`.

    Raises:
        InputError: as `complete`.
    """
    content = pipeline.tokenizer.content
    if content.kind != "rgb":
        raise InputError(f"this prior makes {content.kind}; only photographs can be completed")
    placed = place(photograph, missing, margins)
    unfinished = pad_to_multiple(placed, pipeline.factor)
    height, width = unfinished.known.shape
    request = pipeline.request(n, condition, (height, width))
    codes = pipeline.tokenizer.encode_in_tiles(unfinished.image[None].to(pipeline.device))
    known = known_cells(unfinished.known, pipeline.tokenizer.downsampling_factor)
    canvas = Canvas(codes.repeat(n, 1, 1), known.to(pipeline.device))
    return Begun(request, canvas, unfinished, (placed.known.shape[0], placed.known.shape[1]))


def complete(
    pipeline: Pipeline,
    photograph: Image.Image,
    missing: Tensor,
    n: int = 1,
    seed: int = 0,
    condition: Asked = None,
    *,
    margins: Margins | None = None,
    config: SamplingConfig | None = None,
    batch_size: int = 16,
    blend_px: int | None = None,
    progress: bool = True,
    keep: Path | None = None,
    on_progress: OnProgress | None = None,
    cancelled: threading.Event | None = None,
) -> list[Image.Image]:
    """Complete a photograph in n ways.

    Args:
        pipeline: pipeline of a prior over photographs.
        photograph: RGB, at the scale that the prior was trained on.
        missing: (height, width) bool, pixels of it to make anew.
        n: number of results.
        seed: result i is a function of (seed, i).
        condition: as `Pipeline.sample`; pictures have the size of the canvas.
        margins: pixels to add around the photograph.
        config: temperature, top-k, top-p, guidance, stride.
        batch_size: as `Pipeline.sample`.
        blend_px: put the known pixels back, mixed over so many of them; None leaves all as decoded.
        progress: show a bar.
        keep: as `Pipeline.sample_codes`.
        on_progress: as `Pipeline.sample`.
        cancelled: as `Pipeline.sample`.

    Returns:
        n RGB pictures of the photograph's size with its margins.

    Raises:
        InputError: the prior makes no photographs; the canvas is smaller than its window; or as
            `place` and `Pipeline.sample`.
        CancelledError: the call was cancelled.
    """
    begun = begin(pipeline, photograph, missing, n, condition, margins or Margins())
    codes = pipeline.sample_codes(
        begun.request,
        seed,
        canvas=begun.canvas,
        config=config,
        batch_size=batch_size,
        progress=progress,
        keep=keep,
        on_progress=on_progress,
        cancelled=cancelled,
    )
    return begun.pictures(pipeline, codes, blend_px)

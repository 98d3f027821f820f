"""Negative log-likelihood of each code of images under a prior.

It is minus the logarithm of the probability with which `sample` would draw the code, at temperature
1, among all codes and without guidance, given the codes before it. The windows are those of
drawing. All codes are known, so windows do not wait for each other, and many are read at a time.

Axes: B batch, n images, H/W grid of codes of an image, h/w that of a window, K codebook size.
Reference: arXiv:2012.09841, Sec. 3.2, Eqs. 9 and 10.
Deviation: the loss of training gives probability to conditioning tokens too, which are never drawn;
    here the probabilities of the K codes sum to 1 (`smalti.metrics.nll.nats_of_codes`).
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from smalti.conditions.conditioning import Conditioning
from smalti.config import InputError
from smalti.metrics.nll import bits_per_dimension, nats_of_codes
from smalti.prior.local.model import LocalGPT
from smalti.progress import Steps, Watch
from smalti.sampling.canvas import Canvas, CanvasView
from smalti.sampling.config import SamplingConfig
from smalti.sampling.guidance import build_guidance
from smalti.sampling.image_model import ImageModel, in_eval_mode
from smalti.sampling.local_canvas import score_rows
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.sliding_window import check_size, check_stride_of
from smalti.sampling.window_plan import Run, plan
from smalti.types import Prior


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a prior finds the codes of images.

    It is of codes: what the tokenizer loses of an image costs nothing. Compare it between priors
    over the same tokenizer only.
    """

    nats: Tensor
    """Negative log-likelihood of each code given those before it: (n, h, w) float32 >= 0, nats."""
    size_px: tuple[int, int]
    """Height and width of the images in pixels."""

    @property
    def bits(self) -> Tensor:
        """Bits of each code, (n, h, w) float32 >= 0."""
        return self.nats / math.log(2)

    @property
    def total_nats(self) -> Tensor:
        """Negative log-likelihood of each image, of all its codes together: (n,) float32, nats."""
        return self.nats.sum((1, 2))

    @property
    def log_likelihood(self) -> Tensor:
        """Logarithm of the probability of all codes of each image: (n,) float32 <= 0, nats."""
        return -self.total_nats

    @property
    def nats_per_code(self) -> Tensor:
        """Mean over the codes of each image, (n,) float32; ln K is that of knowing nothing."""
        return self.nats.mean((1, 2))

    @property
    def bits_per_dimension(self) -> Tensor:
        """Bits a colour value of each image, of three a pixel: (n,) float32."""
        cells = self.nats.shape[1] * self.nats.shape[2]
        return bits_per_dimension(self.nats_per_code, cells, *self.size_px)


def score_codes(
    images: ImageModel,
    codes: Tensor,
    values: Mapping[str, Tensor],
    *,
    stride: int = 1,
    batch_size: int = 16,
    watch: Watch | None = None,
) -> Tensor:
    """Negative log-likelihood of each code of images, under a model's prior.

    Args:
        images: the prior and its tokenizers.
        codes: (n, H, W) int64 in [0, K).
        values: (n, ...) of each condition of the prior, by kind, of the whole images.
        stride: as in sampling, columns of codes that share a window, for images larger than it.
        batch_size: number of windows that are read at the same time.
        watch: is told of each image.

    Returns:
        (n, H, W) float32 >= 0, nats, on the processor. An image's sum is minus the logarithm of
        the probability of all its codes.

    Raises:
        InputError: a condition is missing; the grid is below the window, or above it where the
            prior's ordering is not row-major; the stride is not possible; logits are not finite.
        CancelledError: the call was cancelled.
    """
    return _of_canvases(score_canvas, images, codes, values, stride, batch_size, watch)


def logits_of_codes(
    images: ImageModel,
    codes: Tensor,
    values: Mapping[str, Tensor],
    *,
    stride: int = 1,
    batch_size: int = 16,
    watch: Watch | None = None,
) -> Tensor:
    """Logits (n, H, W, K) float32 at each code of images, given those before, on the processor.

    Arguments and errors are those of `score_codes`.
    """
    return _of_canvases(logits_of_canvas, images, codes, values, stride, batch_size, watch)


def _of_canvases(
    read: Callable[..., Tensor],
    images: ImageModel,
    codes: Tensor,
    values: Mapping[str, Tensor],
    stride: int,
    batch_size: int,
    watch: Watch | None,
) -> Tensor:
    """What `score_canvas` or `logits_of_canvas` gives for images, some at a time."""
    found = []
    with Steps(len(codes), "image", watch or Watch()) as steps, in_eval_mode(images.prior):
        for start in range(0, len(codes), batch_size):
            rows = slice(start, start + batch_size)
            of_batch = read(
                images.prior,
                images.config,
                images.conditioning,
                images.encode_conditions({kind: value[rows] for kind, value in values.items()}),
                codes[rows].to(images.device),
                stride,
                batch_size,
            )
            found.append(of_batch.cpu())
            steps.advance(len(of_batch))
    return torch.cat(found)


@torch.inference_mode()
def score_canvas(
    prior: Prior,
    model: PriorModelConfig,
    conditioning: Conditioning,
    condition_codes: Mapping[str, Tensor],
    codes: Tensor,
    stride: int = 1,
    batch_size: int = 16,
) -> Tensor:
    """Negative log-likelihood of each code of canvases, all at once.

    Args:
        prior: in eval mode.
        model: config of the prior.
        conditioning: of the prior.
        condition_codes: (B, ...) of the whole canvas, by kind, on the prior's device.
        codes: (B, H, W) int64 in [0, K), on the prior's device.
        stride: see `plan`.
        batch_size: windows that are read at the same time, at least B.

    Returns:
        (B, H, W) float32 >= 0, nats.

    Raises:
        InputError: as `score_codes`.
    """
    view = _view(model, conditioning, condition_codes, codes, stride)
    nats = torch.zeros(codes.shape, device=codes.device).flatten(1)
    for read in _read_cells(prior, view, stride, max(1, batch_size // len(codes))):
        scored = nats_of_codes(read.logits, read.codes, model.codebook_size)
        for row, of_run in zip(read.cells, torch.split(scored, len(codes)), strict=True):
            nats[:, row] = of_run
    _check_finite(nats)
    return nats.view(codes.shape)


@torch.inference_mode()
def logits_of_canvas(
    prior: Prior,
    model: PriorModelConfig,
    conditioning: Conditioning,
    condition_codes: Mapping[str, Tensor],
    codes: Tensor,
    stride: int = 1,
    batch_size: int = 16,
) -> Tensor:
    """Logits (B, H, W, K) float32 at each code of canvases; arguments are of `score_canvas`."""
    view = _view(model, conditioning, condition_codes, codes, stride)
    shape = (*codes.shape, model.codebook_size)
    found = torch.zeros(shape, device=codes.device).flatten(1, 2)
    for read in _read_cells(prior, view, stride, max(1, batch_size // len(codes))):
        of_codes = read.logits[..., : model.codebook_size].float()
        for row, of_run in zip(read.cells, torch.split(of_codes, len(codes)), strict=True):
            found[:, row] = of_run
    _check_finite(found)
    return found.view(shape)


def _view(
    model: PriorModelConfig,
    conditioning: Conditioning,
    condition_codes: Mapping[str, Tensor],
    codes: Tensor,
    stride: int,
) -> CanvasView:
    """Known codes (B, H, W) as the prior sees them, without guidance."""
    check_size(model, codes.shape[1], codes.shape[2])
    check_stride_of(stride, model)
    without = build_guidance(SamplingConfig(), conditioning.kinds, model.condition_drop)
    return CanvasView(model, conditioning, condition_codes, Canvas.unknown(codes), without)


def _check_finite(scores: Tensor) -> None:
    if not scores.isfinite().all():
        raise InputError(
            "the prior's scores are not finite numbers: its weights are damaged, or its training "
            "diverged, or its number format is too narrow"
        )


class _Read(NamedTuple):
    """What the prior read at a time: n runs of m cells, of B canvases."""

    cells: Tensor
    """Row-major numbers (n, m) of the cells."""
    codes: Tensor
    """Their codes (n * B, m), those of a run following each other."""
    logits: Tensor
    """Logits (n * B, m, V) there, given the codes before each."""


def _read_cells(prior: Prior, view: CanvasView, stride: int, most: int) -> Iterator[_Read]:
    """Read the cells of a canvas, each once; `most` windows at a time."""
    flat = view.codes.flatten(1)
    if isinstance(prior, LocalGPT):
        for row, logits in enumerate(score_rows(prior, view)):
            cells = torch.arange(row * view.width, (row + 1) * view.width)[None]
            yield _Read(cells, view.codes[:, row], logits)
        return
    model = view.model
    runs = plan(view.height, view.width, model.grid_height, model.grid_width, stride)
    for group in _alike(runs, most):
        cells = torch.tensor([view.cells[run.start : run.stop] for run in group])
        codes = torch.cat([flat[:, row] for row in cells])
        contexts = torch.cat([view.context(run) for run in group])
        logits = prior.logits(torch.cat([contexts, codes[:, :-1]], dim=1))
        yield _Read(cells, codes, logits[:, -codes.shape[1] :])


def _alike(runs: Sequence[Run], most: int) -> Iterator[Sequence[Run]]:
    """Runs of one length that begin at the same cell of their windows, `most` at a time."""
    by_form = defaultdict(list)
    for run in runs:
        by_form[run.offset, run.stop - run.start].append(run)
    for alike in by_form.values():
        for start in range(0, len(alike), most):
            yield alike[start : start + most]

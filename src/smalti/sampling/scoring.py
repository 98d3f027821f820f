"""Negative log-likelihood of each code of images under a prior.

It is minus the logarithm of the probability with which `sample` would draw the code, at temperature
1, among all codes and without guidance, given the codes before it. The windows are those of
drawing. All codes are known, so windows do not wait for each other, and many are read at a time.

Axes: B batch, n images, H/W grid of codes of an image, h/w that of a window, K codebook size.
Reference: arXiv:2012.09841, Sec. 3.2, Eqs. 9 and 10.
Deviation: the loss of training gives probability to conditioning tokens too, which are never drawn;
    here the probabilities of the K codes sum to 1 (`smalti.metrics.nll.nats_of_codes`).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from smalti.conditions.conditioning import Conditioning
from smalti.config import InputError
from smalti.metrics.nll import nats_of_codes
from smalti.prior.local.model import LocalGPT
from smalti.sampling.canvas import Canvas, CanvasView
from smalti.sampling.config import SamplingConfig
from smalti.sampling.guidance import build_guidance
from smalti.sampling.local_canvas import score_rows
from smalti.sampling.pipeline import Pipeline, in_eval_mode
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.sliding_window import check_size, check_stride_of
from smalti.sampling.window_plan import Run, plan
from smalti.types import Prior


def score_codes(
    pipeline: Pipeline,
    codes: Tensor,
    values: Mapping[str, Tensor],
    *,
    stride: int = 1,
    batch_size: int = 16,
    progress: bool = False,
) -> Tensor:
    """Negative log-likelihood of each code of images, under a pipeline's prior.

    Args:
        pipeline: pipeline of the prior.
        codes: (n, H, W) int64 in [0, K).
        values: (n, ...) of each condition of the prior, by kind, of the whole images.
        stride: as in sampling, columns of codes that share a window, for images larger than it.
        batch_size: number of windows that are read at the same time.
        progress: whether to show a bar.

    Returns:
        (n, H, W) float32 >= 0, nats, on the processor. An image's sum is minus the logarithm of
        the probability of all its codes.

    Raises:
        InputError: a condition is missing; the grid is below the window, or above it where the
            prior's ordering is not row-major; the stride is not possible; logits are not finite.
    """
    scores = []
    bar = tqdm(total=len(codes), unit="image", disable=None if progress else True)
    with bar, in_eval_mode(pipeline.prior):
        for start in range(0, len(codes), batch_size):
            rows = slice(start, start + batch_size)
            scored = score_canvas(
                pipeline.prior,
                pipeline.config,
                pipeline.conditioning,
                pipeline.encode_conditions({kind: value[rows] for kind, value in values.items()}),
                codes[rows].to(pipeline.device),
                stride,
                batch_size,
            )
            scores.append(scored.cpu())
            bar.update(len(scored))
    return torch.cat(scores)


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
    batch, height, width = codes.shape
    check_size(model, height, width)
    check_stride_of(stride, model)
    without = build_guidance(SamplingConfig(), conditioning.kinds, model.condition_drop)
    view = CanvasView(model, conditioning, condition_codes, Canvas.unknown(codes), without)
    if isinstance(prior, LocalGPT):
        rows = zip(score_rows(prior, view), codes.unbind(1), strict=True)
        nats = torch.stack([nats_of_codes(*row, model.codebook_size) for row in rows], dim=1)
    else:
        nats = _score_windows(prior, view, stride, max(1, batch_size // batch))
    if not nats.isfinite().all():
        raise InputError(
            "the prior's scores are not finite numbers: its weights are damaged, or its training "
            "diverged"
        )
    return nats.view(codes.shape)


def _score_windows(prior: Prior, view: CanvasView, stride: int, most: int) -> Tensor:
    """Negative log-likelihood (B, H * W) float32, nats, of codes, `most` windows at once."""
    model, flat = view.model, view.codes.flatten(1)
    nats = torch.zeros(flat.shape, device=flat.device)
    runs = plan(view.height, view.width, model.grid_height, model.grid_width, stride)
    for group in _alike(runs, most):
        cells = torch.tensor([view.cells[run.start : run.stop] for run in group])
        targets = torch.cat([flat[:, row] for row in cells])  # (windows * B, steps)
        contexts = torch.cat([view.context(run) for run in group])
        logits = prior.logits(torch.cat([contexts, targets[:, :-1]], dim=1))
        scored = nats_of_codes(logits[:, -targets.shape[1] :], targets, model.codebook_size)
        for row, of_run in zip(cells, torch.split(scored, len(flat)), strict=True):
            nats[:, row] = of_run
    return nats


def _alike(runs: Sequence[Run], most: int) -> Iterator[Sequence[Run]]:
    """Runs of one length that begin at the same cell of their windows, `most` at a time."""
    by_form = defaultdict(list)
    for run in runs:
        by_form[run.offset, run.stop - run.start].append(run)
    for alike in by_form.values():
        for start in range(0, len(alike), most):
            yield alike[start : start + most]

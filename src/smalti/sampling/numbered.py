"""Images of any numbers out of a large set that many processes draw together.

Axes: B batch, h/w grid of codes, K codebook size.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from smalti.sampling.canvas import Canvas
from smalti.sampling.config import SamplingConfig
from smalti.sampling.image_model import in_eval_mode
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.sliding_window import sample_canvas


def sample_numbered(
    pipeline: Pipeline,
    numbers: Sequence[int],
    values: Mapping[str, Tensor],
    cells: tuple[int, int],
    seed: int,
    config: SamplingConfig,
) -> Tensor:
    """Draw the codes of some images; image i is a function of (seed, i) and its condition.

    Args:
        pipeline: of the prior.
        numbers: of the images.
        values: (B, ...) of each condition, by kind.
        cells: h and w.
        seed: of the whole set.
        config: temperature, top-k, top-p, guidance, stride.

    Returns:
        (B, h, w) int64 in [0, K), on the device of the prior.
    """
    height, width = cells
    blank = torch.zeros(len(numbers), height, width, dtype=torch.int64, device=pipeline.device)
    canvas = Canvas.unknown(blank)
    with in_eval_mode(pipeline.prior):
        sample_canvas(
            pipeline.prior,
            pipeline.config,
            pipeline.conditioning,
            pipeline.encode_conditions(values),
            canvas,
            config,
            pipeline.choice(config, seed, numbers, height * width),
        )
    return canvas.codes

"""Canvases that tests draw with tiny priors, by our sampler and by the plain way of the paper."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from smalti.conditions import ConditionConfig
from smalti.conditions.class_label import ClassLabelConfig
from smalti.conditions.coordinates import CoordinatesConfig
from smalti.conditions.maps import SegmentationConfig
from smalti.conditions.none import UnconditionalConfig
from smalti.content import LabelsContent
from smalti.prior.build import build_prior
from smalti.prior.gpt.config import GPT2Config
from smalti.sampling.canvas import Canvas
from smalti.sampling.choice import seeded_choice
from smalti.sampling.config import SamplingConfig
from smalti.sampling.filters import probabilities
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.sliding_window import sample_canvas
from smalti.types import Window

CODES, H, W = 8, 4, 5
CPU = torch.device("cpu")
NONE = UnconditionalConfig()
CLASSES = ClassLabelConfig(class_names=("cat", "dog", "pig"))
COORDINATES = CoordinatesConfig(rows=4, columns=4)


def segmentation(height: int, width: int) -> SegmentationConfig:
    """A condition with so many codes in a window."""
    content = LabelsContent(classes=2)
    return SegmentationConfig(
        content=content, codebook_size=6, grid_height=height, grid_width=width
    )


KINDS = {
    "none": (NONE,),
    "class": (CLASSES,),
    "coordinates": (COORDINATES,),
    "segmentation": (segmentation(H, W),),
    "coarse": (segmentation(H // 2, W),),
    "all": (CLASSES, segmentation(H, W), COORDINATES),
}


def model_of(
    *conditioners: ConditionConfig, height: int = H, width: int = W, **changes: Any
) -> PriorModelConfig:
    """Config of a tiny prior."""
    options = {
        "prior": GPT2Config(layers=2, heads=2, width=16, dropout=0),
        "vocab_size": 32,
        "max_length": 60,
        "condition_drop": 0.1,
    }
    return PriorModelConfig(
        codebook_size=CODES,
        conditioners=conditioners,
        grid_height=height,
        grid_width=width,
        **(options | changes),
    )


def prior_of(model: PriorModelConfig) -> nn.Module:
    """A prior whose likeliest code depends much on what it reads."""
    generator = torch.Generator().manual_seed(3)
    prior = build_prior(model.prior, model.sizes)
    with torch.no_grad():
        for name, weight in prior.named_parameters():
            if "norm" not in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.5)
    return prior.eval()


def conditions_of(model: PriorModelConfig, n: int, height: int, width: int) -> dict[str, Tensor]:
    """Codes of all kinds for n canvases; those of pictures may have a finer or coarser grid."""
    generator = torch.Generator().manual_seed(5)
    codes = {
        "none": torch.zeros(n, 0),
        "class": torch.arange(n) % 3,
        "coordinates": torch.zeros(n, 2, dtype=torch.int64),
    }
    for conditioner in model.conditioners:
        if conditioner.kind == "segmentation":
            rows = height * conditioner.grid_height // model.grid_height
            columns = width * conditioner.grid_width // model.grid_width
            codes["segmentation"] = torch.randint(6, (n, rows, columns), generator=generator)
    return codes


def blank(n: int, height: int, width: int) -> Canvas:
    """Nothing known; the codes that are there must not be read."""
    return Canvas.unknown(torch.full((n, height, width), 10**6))


def paint(
    model: PriorModelConfig,
    canvas: Canvas,
    config: SamplingConfig | None = None,
    images: Sequence[int] | None = None,
    prior: nn.Module | None = None,
    conditions_from: Sequence[int] | None = None,
    **options: Any,
) -> Tensor:
    """Sample a canvas whose image i has the seed and the conditions of image i, or other ones."""
    n, height, width = canvas.codes.shape
    images = range(n) if images is None else images
    conditions_from = conditions_from or images
    conditions = conditions_of(model, max(conditions_from) + 1, height, width)
    return sample_canvas(
        prior or prior_of(model),
        model,
        model.build_conditioning(),
        {kind: codes[list(conditions_from)] for kind, codes in conditions.items()},
        canvas,
        config or SamplingConfig(top_k=0),
        seeded_choice(0, images, height * width, CPU),
        **options,
    )


@torch.no_grad()
def paint_plainly(
    model: PriorModelConfig,
    canvas: Canvas,
    config: SamplingConfig | None = None,
    prior: nn.Module | None = None,
    conditions_from: Sequence[int] | None = None,
) -> Tensor:
    """Codes (B, H, W) of a canvas, which stays as it is; the whole window is read for each.

    It takes one scale of guidance, and an ordering that is row-major.
    """
    n, height, width = canvas.codes.shape
    config, prior = config or SamplingConfig(top_k=0), prior or prior_of(model)
    rows = list(conditions_from or range(n))
    conditions = conditions_of(model, max(rows) + 1, height, width)
    conditions = {kind: codes[rows] for kind, codes in conditions.items()}
    draw = seeded_choice(0, range(n), height * width, CPU)
    known = canvas.known.expand_as(canvas.codes)
    codes = torch.where(known, canvas.codes, 0)
    for i, j in itertools.product(range(height), range(width)):
        logits = logits_of_cell(prior, model, conditions, codes, (i, j), config)
        drawn = draw(probabilities(logits, config), i * width + j)
        codes[:, i, j] = torch.where(known[:, i, j], codes[:, i, j], drawn)
    return codes


def logits_of_cell(
    prior: nn.Module,
    model: PriorModelConfig,
    conditions: Mapping[str, Tensor],
    codes: Tensor,
    cell: tuple[int, int],
    config: SamplingConfig,
) -> Tensor:
    """Logits (B, K) of one cell, from all tokens of its window on a canvas of codes (B, H, W)."""
    (i, j), (height, width) = cell, codes.shape[1:]
    h, w, conditioning = model.grid_height, model.grid_width, model.build_conditioning()
    top = min(max(i - h // 2, 0), height - h)
    left = min(max(j // config.stride * config.stride - w // 2, 0), width - w)
    seen = codes[:, top : top + h, left : left + w].flatten(1)[:, :-1]
    at = conditioning.at(conditions, Window(top, left, h, w, height, width))

    def logits(present: Tensor | None) -> Tensor:
        cond_tokens = conditioning.tokens(at, present) + CODES
        tokens = torch.cat([cond_tokens, seen], dim=1)
        place = conditioning.length - 1 + (i - top) * w + j - left
        return prior.logits(tokens)[:, place, :CODES]

    (scale,) = config.guidance
    if scale == 1:
        return logits(None)
    without = logits(torch.zeros(len(codes), len(conditioning.kinds), dtype=torch.bool))
    return without + scale * (logits(None) - without)

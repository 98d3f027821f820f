"""Our sliding window draws the codes of the released script, recorded in the oracle."""

import pytest
import torch
from torch import Tensor

from smalti.conditions.maps import SegmentationConfig
from smalti.content import LabelsContent
from smalti.interop.taming_gpt import import_gpt
from smalti.sampling.canvas import Canvas
from smalti.sampling.choice import seeded_choice
from smalti.sampling.config import SamplingConfig
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.sliding_window import sample_canvas
from smalti.sampling.window_plan import plan


def run_of_oracle(oracle_tensors, name: str, weights: str, window: int) -> dict[str, Tensor]:
    """Draw the oracle's canvas; it goes on from the first step of its trace."""
    stored = oracle_tensors("sliding_window")
    prefix = f"{weights}.sd."
    gpt = import_gpt(
        {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}, heads=2
    )
    condition = SegmentationConfig(
        content=LabelsContent(classes=2), codebook_size=32, grid_height=window, grid_width=window
    )
    model = PriorModelConfig(
        prior=gpt.config,
        vocab_size=gpt.sizes.vocab_size,
        max_length=gpt.sizes.max_length,
        codebook_size=32,
        conditioners=(condition,),
        vocabulary="shared",
        grid_height=window,
        grid_width=window,
    )
    parts = {k: stored[f"{name}.{k}"] for k in ("cond_grid", "z_indices", "trace", "result_grid")}
    _, height, width = parts["cond_grid"].shape
    first = height * width - len(parts["trace"])
    known = torch.arange(height * width).view(height, width) < first
    codes = torch.where(known, parts["z_indices"], 0)
    sample_canvas(
        gpt,
        model,
        model.build_conditioning(),
        {"segmentation": parts["cond_grid"]},
        Canvas(codes, known),
        SamplingConfig(temperature=0),
        seeded_choice(0, [0], height * width, torch.device("cpu")),
    )
    return parts | {"drawn": codes}


ORACLE = [
    ("w4_8x6", "w4_8x6", 4),
    ("w4_8x6_half", "w4_8x6", 4),
    ("w16_20x18", "w16_20x18", 16),
]


@pytest.mark.parametrize(("name", "weights", "window"), ORACLE)
def test_codes_of_the_released_code(oracle_tensors, name, weights, window):
    run = run_of_oracle(oracle_tensors, name, weights, window)
    assert torch.equal(run["drawn"], run["result_grid"])


@pytest.mark.parametrize(("name", "window"), [(name, window) for name, _, window in ORACLE])
def test_windows_of_the_released_code(oracle_tensors, name, window):
    stored = oracle_tensors("sliding_window")
    trace, (_, height, width) = stored[f"{name}.trace"], stored[f"{name}.cond_grid"].shape
    rows = []
    for run in plan(height, width, window, window):
        for step in range(run.start, run.stop):
            i, j = divmod(step, width)
            local = divmod(run.offset + step - run.start, window)
            ends = [run.top, run.top + window, run.left, run.left + window]
            rows.append([i, j, *local, *ends])
    assert rows[-len(trace) :] == trace.tolist()

"""Images larger than the prior's window, against reading the whole window anew for each code.

    python benchmarks/sliding_window.py [--layers N] [--width W] [--rows H] [--columns W]
        [--batch B] [--rounds R]

The plain way is that of the paper: for each code the prior reads its whole window, with the
condition before it, and no cache. Both ways draw the same codes, which is checked. The condition
is a map with as many codes as the window, which slides along.

Beside each ratio of times stands that of the tokens that are read. A way that reads the codes
before the wanted one alone, and keeps what it has read as long as the window stands still, has the
ratio "by the row". Ours has the ratio "ours", because it also keeps windows to which it comes back
in the next row.

Axes: B batch, H/W canvas in cells, h/w window in cells, K codebook size.
"""

import argparse
from collections.abc import Mapping

import torch
from torch import Tensor

from smalti.conditions.maps import SegmentationConfig
from smalti.conditions.none import UnconditionalConfig
from smalti.content import LabelsContent
from smalti.prior.gpt.config import GPTConfig
from smalti.prior.gpt.model import GPT
from smalti.sampling.choice import seeded_choice
from smalti.sampling.config import SamplingConfig
from smalti.sampling.filters import probabilities
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.sliding_window import Canvas, sample_canvas
from smalti.sampling.window_plan import window_start
from smalti.types import Window

CODES = 1024  # K, of the image and of the condition
SIDE = 16  # h = w, the paper's window
SAMPLING = SamplingConfig(temperature=1, top_k=100)
CONDITIONERS = {
    "conditioned": SegmentationConfig(
        content=LabelsContent(classes=2), codebook_size=CODES, grid_height=SIDE, grid_width=SIDE
    ),
    "unconditioned": UnconditionalConfig(),
}


class Task:
    """A canvas to draw, by a GPT with new weights; speed does not depend on them."""

    def __init__(self, kind: str, size: argparse.Namespace) -> None:
        conditioner = CONDITIONERS[kind]
        length = (SIDE * SIDE if kind == "conditioned" else 1) + SIDE * SIDE - 1
        values = CODES + 1 if kind == "conditioned" else 1
        self.model = PriorModelConfig(
            prior=GPTConfig(layers=size.layers, heads=size.heads, width=size.width, dropout=0),
            vocab_size=CODES + values,
            max_length=length,
            codebook_size=CODES,
            conditioners=(conditioner,),
            grid_height=SIDE,
            grid_width=SIDE,
        )
        torch.manual_seed(0)
        self.prior = GPT(self.model.prior, self.model.sizes).eval()
        self.conditioning = self.model.build_conditioning()
        self.shape = (size.batch, size.rows, size.columns)
        self.condition: Mapping[str, Tensor] = {
            "none": torch.zeros(size.batch, 0),
            "segmentation": torch.randint(CODES, self.shape),
        }
        self.choose = seeded_choice(
            0, range(size.batch), size.rows * size.columns, torch.device("cpu")
        )

    def ours(self) -> Tensor:
        """Our sampler's codes (B, H, W)."""
        canvas = Canvas.unknown(torch.zeros(self.shape, dtype=torch.int64))
        return sample_canvas(
            self.prior,
            self.model,
            self.conditioning,
            self.condition,
            canvas,
            SAMPLING,
            self.choose,
        )

    @torch.inference_mode()
    def plain(self) -> Tensor:
        """Codes (B, H, W), the whole window read anew for each."""
        _, height, width = self.shape
        codes = torch.zeros(self.shape, dtype=torch.int64)
        for row in range(height):
            for column in range(width):
                top = window_start(row, height, SIDE)
                left = window_start(column, width, SIDE)
                window = Window(top, left, SIDE, SIDE, height, width)
                condition = self.conditioning.at(self.condition, window)
                cond_tokens = self.conditioning.tokens(condition) + CODES
                seen = codes[:, top : top + SIDE, left : left + SIDE].flatten(1)
                logits = self.prior.logits(torch.cat([cond_tokens, seen[:, :-1]], dim=1))
                place = cond_tokens.shape[1] - 1 + (row - top) * SIDE + column - left
                likely = probabilities(logits[:, place, :CODES], SAMPLING)
                codes[:, row, column] = self.choose(likely, row * width + column)
        return codes

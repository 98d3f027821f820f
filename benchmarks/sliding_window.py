"""Images larger than the prior's window, against reading the whole window anew for each code.

    python benchmarks/sliding_window.py [--layers N] [--width W] [--rows H] [--columns W]
        [--batch B] [--rounds R] [--threads T]

The plain way is the paper's: for each code the prior reads its whole window, with the condition
before it, and no cache. Both ways must draw the same codes. The condition is a map with as many
codes as the window, which slides along with it.

Beside each ratio of times stand two ratios of the numbers of tokens that are read. "a row" is that
of a way that reads the codes before the wanted one alone, and keeps what it has read as long as the
window stays where it is within a row. "ours" also keeps windows to which it comes back in the next
row.

Axes: B batch, H/W canvas in cells, h/w window in cells, K codebook size.
"""

import argparse
import json
from collections.abc import Mapping

import torch
from measure import Timings, take_turns
from torch import Tensor

from smalti.conditions.maps import SegmentationConfig
from smalti.conditions.none import UnconditionalConfig
from smalti.content import LabelsContent
from smalti.prior.build import build_prior
from smalti.prior.config import PriorConfig
from smalti.prior.gpt.config import GPT2Config
from smalti.sampling.canvas import Canvas
from smalti.sampling.choice import seeded_choice
from smalti.sampling.config import SamplingConfig
from smalti.sampling.filters import probabilities
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.sliding_window import sample_canvas
from smalti.sampling.window_plan import plan, window_start
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
    """A canvas to draw, by a prior with new weights; speed does not depend on them.

    Args:
        kind: key of `CONDITIONERS`.
        prior: kind and shape of the prior, with dropout 0.
        shape: images, rows and columns of codes.
    """

    def __init__(self, kind: str, prior: PriorConfig, shape: tuple[int, int, int]) -> None:
        conditioner = CONDITIONERS[kind]
        length = (SIDE * SIDE if kind == "conditioned" else 1) + SIDE * SIDE - 1
        values = CODES + 1 if kind == "conditioned" else 1
        self.model = PriorModelConfig(
            prior=prior,
            vocab_size=CODES + values,
            max_length=length,
            codebook_size=CODES,
            conditioners=(conditioner,),
            grid_height=SIDE,
            grid_width=SIDE,
        )
        torch.manual_seed(0)
        self.prior = build_prior(prior, self.model.sizes).eval()
        self.conditioning = self.model.build_conditioning()
        self.shape = shape
        self.condition: Mapping[str, Tensor] = {
            "none": torch.zeros(shape[0], 0),
            "segmentation": torch.randint(CODES, self.shape),
        }
        self.choose = seeded_choice(0, range(shape[0]), shape[1] * shape[2], torch.device("cpu"))

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

    def token_ratios(self) -> tuple[float, float]:
        """Tokens that the plain way reads, over those of "a row" and over those of ours."""
        _, height, width = self.shape
        a_row = ours = 0
        read: dict[tuple[int, int], int] = {}
        for run in plan(height, width, SIDE, SIDE):
            tokens = self.conditioning.length + run.offset + len(run.steps) - 1
            a_row += tokens
            ours += tokens - read.get(run.window, 0)
            read[run.window] = tokens
        plain = height * width * self.model.max_length
        return plain / a_row, plain / ours


def parse_arguments(summary: str, rows: int, columns: int) -> argparse.Namespace:
    """The command line, with the rows and columns of codes of a canvas unless it names others."""
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--rows", type=int, default=rows, help=f"H, at least {SIDE}")
    parser.add_argument("--columns", type=int, default=columns, help=f"W, at least {SIDE}")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    # On a busy machine two threads mostly wait for each other, and the wait is what is measured.
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if min(arguments.rows, arguments.columns) < SIDE:
        parser.error(f"--rows and --columns must be at least {SIDE}")
    return arguments


def measure(task: Task, rounds: int) -> Timings:
    """Time both ways in turns, and check that they draw the same codes."""
    drawn: dict[str, Tensor] = {}

    def ours() -> None:
        drawn["ours"] = task.ours()

    def plain() -> None:
        drawn["plain"] = task.plain()

    task.prior.logits(torch.zeros(task.shape[0], task.model.max_length, dtype=torch.int64))
    timings = take_turns({"ours": ours, "plain": plain}, rounds, warmup_rounds=0)
    assert torch.equal(drawn["ours"], drawn["plain"]), "the two ways drew different codes"
    return timings


def main() -> None:
    """Measure and print."""
    size = parse_arguments(__doc__.splitlines()[0], rows=24, columns=32)
    torch.set_num_threads(size.threads)
    print(
        f"{size.rows}x{size.columns} codes, windows of {SIDE}x{SIDE}, batch {size.batch}, "
        f"{size.layers} layers, width {size.width}, float32, {size.threads} thread(s), "
        f"median of {size.rounds}"
    )
    print(f"{'':16}{'ms a code':>18}{'':8}{'plain / ours':>12}{'tokens, plain / ours':>24}")
    print(f"{'':16}{'ours':>9}{'plain':>9}{'':8}{'time':>12}{'a row':>12}{'ours':>12}")
    prior = GPT2Config(layers=size.layers, heads=size.heads, width=size.width, dropout=0)
    ratios: dict[str, float] = {}
    for kind in CONDITIONERS:
        task = Task(kind, prior, (size.batch, size.rows, size.columns))
        timings = measure(task, size.rounds)
        ratios[kind] = timings.ratio("plain", "ours")
        ms = [1e3 * timings.median(name) / (size.rows * size.columns) for name in ("ours", "plain")]
        a_row, ours = task.token_ratios()
        print(
            f"{kind:16}{ms[0]:9.2f}{ms[1]:9.2f}{'':8}{ratios[kind]:12.2f}{a_row:12.2f}{ours:12.2f}"
        )
    print(json.dumps({f"{kind}_vs_plain": round(ratio, 3) for kind, ratio in ratios.items()}))


if __name__ == "__main__":
    main()

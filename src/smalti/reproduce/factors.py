"""Priors over the codes of tokenizers with different factors f, which several studies compare.

All learn from windows of as many codes, so from crops whose side is proportional to f.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smalti.reproduce.experiment import Experiment, PlannedRun, PriorSetup
from smalti.reproduce.recipes import PAPER_PRIOR, SMALL_PRIOR, TINY_PRIOR, TINY_SHAPE


@dataclass(frozen=True, slots=True)
class Factors:
    """The factors of a scale."""

    data: str
    """Name of the data set; its tokenizers are DATA-fN."""
    side_px: int
    """Side of the pictures that are made, and to which the shorter side of the data is shrunk."""
    window: int
    """Codes of a side of the window."""
    options: str
    steps: int
    shape: str = ""
    presets: Mapping[int, str] | None = None
    """Preset of each factor; those of the paper know the coordinates of each code."""

    def setup(self, factor: int) -> PriorSetup:
        """The prior of a factor."""
        crop_px = min(self.window * factor, self.side_px)
        words = f"{self.options} --image.size {crop_px} --image.resize-px {self.side_px}"
        if self.presets is not None:
            words = f"--preset {self.presets[factor]} {words} --condition-drop 0"
        conditions = {} if self.presets is None else {"coordinate_map": ""}
        tokenizer = f"{self.data}-f{factor}"
        return PriorSetup(self.data, tokenizer, words, self.steps, conditions, self.shape)


FACTORS: Mapping[str, Factors] = {
    "tiny": Factors(
        "photos", 128, 8, f"{TINY_PRIOR} --held-out 0.2 --image.small skip", 600, TINY_SHAPE
    ),
    "small": Factors("photos", 256, 16, SMALL_PRIOR, 6000),
    "paper": Factors(
        "faces",
        256,
        16,
        PAPER_PRIOR,
        300_000,
        presets={factor: f"prior-faceshq-f{factor}" for factor in (1, 2, 4, 8, 16)}
        | {32: "prior-faceshq-f16"},
    ),
}
"""What each scale has. The paper has no preset of f = 32 for faces: it is the one of f = 16."""


def factor_runs(experiment: Experiment, seed: int, factors: Sequence[int]) -> dict[int, PlannedRun]:
    """Plan the priors of some factors; all studies that compare them share the runs."""
    scale = FACTORS[experiment.scale]
    return {
        factor: experiment.prior(f"{scale.data}-f{factor}-prior", seed, scale.setup(factor))
        for factor in factors
    }

"""The local prior beside the paper's: NLL, time of a large image, and seams."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from smalti.reproduce.experiment import Experiment, PlannedRun, PriorSetup
from smalti.reproduce.prior_study import PriorStudy
from smalti.reproduce.recipes import PAPER_PRIOR, SMALL_PRIOR, TINY_PRIOR, TINY_SHAPE
from smalti.reproduce.results import Results
from smalti.reproduce.samples import Sampling, decoded, draw_codes, open_pipeline, write_sheet
from smalti.reproduce.seams import seam_ratio
from smalti.reproduce.speed import seconds_in_turn
from smalti.reproduce.study import STUDIES, Row, Table
from smalti.reproduce.verdict import Claim

KINDS = {"gpt2": "GPT-2, the paper's", "gpt": "with other blocks", "local": "local"}
CELLS: Mapping[str, Mapping[str, PriorSetup]] = {
    "tiny": {
        "cifar10": PriorSetup(
            "cifar10",
            "cifar10-f4",
            f"{TINY_PRIOR} --image.size 32 --codes.views 2",
            600,
            shape=TINY_SHAPE,
        ),
        "photos": PriorSetup(
            "photos",
            "photos-f8",
            f"{TINY_PRIOR} --image.size 64 --image.resize-px 128 --image.small skip --held-out 0.2",
            600,
            shape=TINY_SHAPE,
        ),
    },
    "small": {
        "cifar10": PriorSetup("cifar10", "cifar10-f2", f"{SMALL_PRIOR} --image.size 32", 5000),
        "photos": PriorSetup(
            "photos", "photos-f16", f"{SMALL_PRIOR} --image.size 256 --image.resize-px 256", 5000
        ),
    },
    "paper": {
        "photos": PriorSetup("photos", "photos-f16", f"--preset prior-in {PAPER_PRIOR}", 300_000),
    },
}
LARGE: Mapping[str, Sampling] = {
    "tiny": Sampling(8, (192, 256), batch_size=8),
    "small": Sampling(64, (512, 1024), batch_size=16),
    "paper": Sampling(64, (832, 1280), batch_size=16),
}
"""The pictures in which seams are looked for."""
WINDOW_PX: Mapping[str, int] = {"tiny": 64, "small": 256, "paper": 256}
ROUNDS = 3


@STUDIES.register("local")
class Local(PriorStudy):
    """The local prior beside the paper's."""

    title = "A prior with a neighbourhood in place of the window (not in the paper)"
    paper = (
        "The paper's prior reads a whole window for each code of a large image. The local prior "
        "attends to a neighbourhood of the same size, and reads each code once. The paper has "
        "nothing like it; the exact sliding window is what it is compared with."
    )
    remarks = (
        "The NLL is that of unseen images of the training size, the lowest within the budget, in "
        "nats a token. `other blocks` have the local prior's normalisations, rotary positions and "
        "MLP, and see the whole window: what is between them is the neighbourhood. Seconds are "
        "measured in turn in one process of this machine. The seam is that of the study `windows`: "
        "1 is none."
    )

    name = "local"
    cells = CELLS
    cell_labels: ClassVar[Mapping[str, str]] = {"cifar10": "CIFAR-10", "photos": "photographs"}
    labels = KINDS

    def options(self, setup: PriorSetup) -> Mapping[str, str]:
        """The kinds of priors."""
        return {kind: f"--prior.kind {kind}" for kind in KINDS}

    def measure(self, experiment: Experiment, seed: int, results: Results) -> None:
        """NLL at equal steps and seconds; seconds and seams of large pictures."""
        super().measure(experiment, seed, results)
        runs = self.runs_of(experiment, seed, "photos")
        results.measure("picture", partial(_seconds_a_picture, experiment, runs, seed))
        for kind in ("gpt2", "local"):
            results.measure(f"large/{kind}", partial(_seam, experiment, runs[kind], kind, seed))

    def tables(self, scale: str) -> Sequence[Table]:
        """The NLLs, and large pictures."""
        size = LARGE[scale].size_px
        assert isinstance(size, tuple)
        large = [
            Row(KINDS[kind], [f"picture/{kind}", f"large/{kind}/seam"])
            for kind in ("gpt2", "local")
        ]
        pictures = f"Pictures of {size[0]}x{size[1]} pixels"
        return [*super().tables(scale), Table(pictures, ["seconds a picture", "seam"], large)]

    def claims(self, scale: str) -> Sequence[Claim]:
        """The local prior has no higher NLL, and draws a large picture in less time."""
        nlls = [
            Claim(
                f"{self.cell_labels[cell]}: local below the paper's at equal {words}",
                f"{cell}/{kind}/local",
                f"{cell}/{kind}/gpt2",
            )
            for cell in self.cells[scale]
            for kind, words in (("steps", "steps"), ("time", "seconds"))
        ]
        faster = Claim(
            "a large picture takes less time", "picture/local", "picture/gpt2", is_ratio=True
        )
        return [*nlls, faster]

    def draw(self, experiment: Experiment, seed: int, folder: Path) -> None:
        """Large pictures of both."""
        for kind in ("gpt2", "local"):
            path = folder / f"large_{kind}.png"
            if not path.is_file():
                run = self.runs_of(experiment, seed, "photos")[kind]
                pipeline = open_pipeline(experiment, run)
                codes = draw_codes(pipeline, LARGE[experiment.scale], seed)
                write_sheet(path, pipeline.pictures(codes), columns=4)


def _seconds_a_picture(
    experiment: Experiment, runs: Mapping[str, PlannedRun], seed: int
) -> dict[str, float]:
    """Seconds of one large picture at a time, of each kind, measured in turn."""
    size = LARGE[experiment.scale].size_px
    pipelines = {kind: open_pipeline(experiment, runs[kind]) for kind in ("gpt2", "local")}
    trials = {
        kind: partial(draw_codes, pipeline, Sampling(1, size), seed)
        for kind, pipeline in pipelines.items()
    }
    return seconds_in_turn(trials, ROUNDS)


def _seam(experiment: Experiment, run: PlannedRun, kind: str, seed: int) -> dict[str, float]:
    """The seam of large pictures of a prior."""
    scale, pipeline = experiment.scale, open_pipeline(experiment, run)
    keep = experiment.unfinished(f"large-{kind}", seed)
    images = decoded(pipeline, draw_codes(pipeline, LARGE[scale], seed, keep)).cpu()
    return {"seam": seam_ratio(images, WINDOW_PX[scale], pipeline.factor)}

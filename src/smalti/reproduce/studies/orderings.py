"""Sec. 4.4 and App. D: six orders of the codes, with the same first weights and budget."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from smalti.reproduce.experiment import Experiment, PlannedRun, PriorSetup
from smalti.reproduce.nll import lowest_until, nll_curve
from smalti.reproduce.recipes import PAPER_PRIOR, SMALL_PRIOR, TINY_PRIOR, TINY_SHAPE
from smalti.reproduce.results import Results
from smalti.reproduce.samples import Sampling, draw_codes, open_pipeline, write_sheet
from smalti.reproduce.study import STUDIES, Plot, Row, Study, Table
from smalti.reproduce.verdict import Claim

SETUPS: Mapping[str, PriorSetup] = {
    "tiny": PriorSetup(
        "cifar10",
        "cifar10-f4",
        f"{TINY_PRIOR} --image.size 32 --codes.views 2",
        600,
        shape=TINY_SHAPE,
    ),
    "small": PriorSetup(
        "photos", "photos-f16", f"{SMALL_PRIOR} --image.size 256 --image.resize-px 256", 5000
    ),
    "paper": PriorSetup("photos", "photos-f16", f"--preset prior-in {PAPER_PRIOR}", 300_000),
}
PAPER: Mapping[str, float] = {
    "row_major": 4.767,
    "z_curve": 4.810,
    "alternate": 4.812,
    "spiral_out": 4.889,
    "spiral_in": 4.901,
    "subsample": 5.015,
}
"""The paper's NLL of each order."""
BEST = "row_major"
SAMPLES = 16


@STUDIES.register("orderings")
class Orderings(Study):
    """Six orders of the codes, with the same first weights and budget."""

    title = "Orders of the codes (Sec. 4.4, App. D)"
    paper = (
        "A transformer is trained on the codes of ImageNet in six orders, with the same first "
        "weights and the same budget. Row-major is best; the hierarchical order `subsample` is "
        "worst."
    )
    remarks = (
        "The NLL is that of unseen images, the lowest within the budget, in nats a token. The "
        "runs of a seed begin with the same weights and see the same images in the same batches. "
        "The text of Sec. 4.4 speaks of five permutations and lists six."
    )

    def runs(self, experiment: Experiment, seed: int) -> Sequence[PlannedRun]:
        """A prior of each order."""
        return list(self._runs(experiment, seed).values())

    def _runs(self, experiment: Experiment, seed: int) -> dict[str, PlannedRun]:
        setup = SETUPS[experiment.scale]
        return {
            order: experiment.prior(f"orderings-{order}", seed, setup, ["--ordering", order])
            for order in PAPER
        }

    def measure(self, experiment: Experiment, seed: int, results: Results) -> None:
        """The NLL of each order over the steps, and at the end."""
        for order, run in self._runs(experiment, seed).items():
            curve = nll_curve(experiment.path(run))
            results.add_curve(order, curve)
            results.add(order, {"nll": lowest_until(curve, curve[-1][0])})

    def tables(self, scale: str) -> Sequence[Table]:
        """The NLL of each order."""
        rows = [Row(order, [f"{order}/nll"], [f"{nll:.3f}"]) for order, nll in PAPER.items()]
        return [Table("NLL, nats a token, lower is better", ["NLL"], rows)]

    def claims(self, scale: str) -> Sequence[Claim]:
        """Row-major is better than each other order."""
        return [
            Claim(f"`{BEST}` is below `{order}`", f"{BEST}/nll", f"{order}/nll", nll - PAPER[BEST])
            for order, nll in PAPER.items()
            if order != BEST
        ]

    def plots(self, scale: str) -> Sequence[Plot]:
        """The NLL over the steps."""
        curves = {order: order for order in PAPER}
        return [Plot("nll", "steps", "NLL of unseen images, nats a token", curves)]

    def draw(self, experiment: Experiment, seed: int, folder: Path) -> None:
        """A sheet of samples of each order."""
        for order, run in self._runs(experiment, seed).items():
            path = folder / f"{order}.png"
            if not path.is_file():
                pipeline = open_pipeline(experiment, run)
                codes = draw_codes(pipeline, Sampling(SAMPLES), seed)
                write_sheet(path, pipeline.pictures(codes))

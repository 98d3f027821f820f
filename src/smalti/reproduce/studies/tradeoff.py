"""App. B, Fig. 8: the error of reconstructions against the NLL, over the factor f."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from PIL import Image

from smalti.reproduce.experiment import Experiment, PlannedRun
from smalti.reproduce.factors import FACTORS, factor_runs
from smalti.reproduce.nll import lowest_until, nll_curve
from smalti.reproduce.reconstructions import UnseenImages
from smalti.reproduce.results import Results
from smalti.reproduce.samples import write_sheet
from smalti.reproduce.study import STUDIES, Plot, Row, Study, Table
from smalti.reproduce.verdict import Claim

PAPER_ERROR = {1: 0.11, 2: 0.20, 4: 0.23, 8: 0.38, 16: 0.63, 32: 0.66}
PAPER_NLL = {1: 5.66e4, 2: 1.29e4, 4: 4.10e3, 8: 2.32e3, 16: 2.28e2, 32: 6.75e1}
MEASURED = 64
SHOWN = 8


@STUDIES.register("tradeoff")
class Tradeoff(Study):
    """The error of reconstructions against the NLL, over the factor f."""

    title = "Reconstruction error against NLL over f (App. B, Fig. 8)"
    paper = (
        "With a larger factor f an image has fewer codes, which a prior models with fewer nats, "
        "and reconstructions get worse. Beyond a critical f (16 on faces) they are too bad."
    )
    remarks = (
        "The NLL is that of all codes of an image, in nats: nats a token of unseen windows, the "
        "lowest within the budget, times the number of codes. The error is the perceptual distance "
        "by EfficientNet-Lite0 (or LPIPS, where its weights are at hand) between unseen images and "
        "their reconstructions; the paper's is LPIPS. Each tokenizer is trained once, so that the "
        "errors of reconstructions have no standard error over seeds, and no claim is judged by "
        "them. The paper's text says that its errors decrease with f; its figure shows that they "
        "rise."
    )

    def runs(self, experiment: Experiment, seed: int) -> Sequence[PlannedRun]:
        """A prior for each factor."""
        return list(factor_runs(experiment, seed, list(PAPER_NLL)).values())

    def measure(self, experiment: Experiment, seed: int, results: Results) -> None:
        """NLL of an image, and error of its reconstruction, for each factor."""
        side = FACTORS[experiment.scale].side_px
        for factor, run in factor_runs(experiment, seed, list(PAPER_NLL)).items():
            curve = nll_curve(experiment.path(run))
            token = lowest_until(curve, curve[-1][0])
            results.add(f"f{factor}", {"token": token, "image": token * (side // factor) ** 2})
            unseen = UnseenImages(experiment, run.needs[0], side, MEASURED)
            results.measure(f"f{factor}/reconstruction", unseen.figures)

    def tables(self, scale: str) -> Sequence[Table]:
        """Error and NLL of each factor."""
        rows = [
            Row(
                f"f = {factor}",
                [f"f{factor}/reconstruction/perceptual_distance", f"f{factor}/image"],
                [f"{PAPER_ERROR[factor]:.2f}", f"{nll:.3g}"],
            )
            for factor, nll in PAPER_NLL.items()
        ]
        return [
            Table(
                "Error and NLL of an image",
                ["perceptual distance", "NLL, nats an image"],
                rows,
            ),
            Table(
                "More of the same",
                ["NLL, nats a token", "PSNR, dB", "SSIM"],
                [
                    Row(
                        f"f = {factor}",
                        [
                            f"f{factor}/token",
                            f"f{factor}/reconstruction/psnr_db",
                            f"f{factor}/reconstruction/ssim",
                        ],
                    )
                    for factor in PAPER_NLL
                ],
            ),
        ]

    def claims(self, scale: str) -> Sequence[Claim]:
        """An image has fewer nats with each larger factor."""
        return [
            Claim(
                f"an image has fewer nats at f = {larger} than at f = {factor}",
                f"f{larger}/image",
                f"f{factor}/image",
                float(f"{PAPER_NLL[factor] / PAPER_NLL[larger]:.3g}"),
                is_ratio=True,
            )
            for factor, larger in pairwise(PAPER_NLL)
        ]

    def plots(self, scale: str) -> Sequence[Plot]:
        """The error of reconstructions over the NLL of an image, a point for each factor."""
        points = {
            f"f = {factor}": (f"f{factor}/image", f"f{factor}/reconstruction/perceptual_distance")
            for factor in PAPER_NLL
        }
        return [
            Plot(
                "tradeoff",
                "NLL, nats an image",
                "perceptual distance of reconstructions",
                points=points,
                is_log=True,
            )
        ]

    def draw(self, experiment: Experiment, seed: int, folder: Path) -> None:
        """Unseen images, and below them their reconstructions by each factor."""
        path, side = folder / "reconstructions.png", FACTORS[experiment.scale].side_px
        if path.is_file():
            return
        rows: list[Image.Image] = []
        for run in factor_runs(experiment, seed, list(PAPER_NLL)).values():
            images, reconstructions = UnseenImages(experiment, run.needs[0], side, SHOWN).pictures(
                SHOWN
            )
            rows += reconstructions if rows else [*images, *reconstructions]
        write_sheet(path, rows, columns=len(images))

"""Random orders of the codes that end in the usual one, beside the usual order from the start."""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import ClassVar

from smalti.data.config import TransformConfig
from smalti.reproduce.experiment import Experiment, PriorSetup
from smalti.reproduce.prior_study import PriorStudy
from smalti.reproduce.recipes import PAPER_PRIOR, SMALL_PRIOR, TINY_PRIOR, TINY_SHAPE
from smalti.reproduce.results import Results
from smalti.reproduce.samples import (
    Sampling,
    draw_codes,
    open_extractor,
    open_pipeline,
    reference_images,
    sampled_distances,
    write_sheet,
)
from smalti.reproduce.study import STUDIES, Row, Table
from smalti.reproduce.verdict import Claim

LABELS = {"usual": "the usual order", "random": "random orders first"}
SIDE_PX = 32
SETUPS: Mapping[str, PriorSetup] = {
    "tiny": PriorSetup(
        "cifar10",
        "cifar10-f4",
        f"{TINY_PRIOR} --image.size {SIDE_PX} --codes.views 2",
        1200,
        shape=TINY_SHAPE,
    ),
    "small": PriorSetup("cifar10", "cifar10-f2", f"{SMALL_PRIOR} --image.size {SIDE_PX}", 30_000),
    "paper": PriorSetup(
        "cifar10", "cifar10-f2", f"--preset prior-cifar10-f2 {PAPER_PRIOR}", 300_000
    ),
}
SAMPLINGS: Mapping[str, Sampling] = {
    "tiny": Sampling(512),
    "small": Sampling(5000, batch_size=256),
    "paper": Sampling(50_000, batch_size=256),
}
SHOWN = 64


@STUDIES.register("random_orders")
class RandomOrders(PriorStudy):
    """Random orders of the codes that end in the usual one."""

    title = "Random orders of the codes, ended in the usual one (not in the paper)"
    paper = (
        "The paper trains each prior in one order. Randomised autoregressive modelling (RAR, arXiv "
        "2411.00776) trains on random orders first, and ends in the usual one: on ImageNet it "
        "lowers the FID of a transformer of the same size."
    )
    remarks = (
        "Both priors have the same blocks (`prior.kind gpt`). One has tokens that tell the place "
        "of the code to come; all its images stand in random orders for the first half of the "
        "steps, fewer in the third quarter, and none in the last one, in the shares of RAR. The "
        "NLL is that of unseen images in the usual order, in nats a token. Samples are drawn in "
        "the usual order and compared with test images by EfficientNet-Lite0: the distance is no "
        "FID, and of few samples, so that its values are too high for both alike."
    )

    name = "random_orders"
    cells: ClassVar[Mapping[str, Mapping[str, PriorSetup]]] = {
        scale: {"cifar10": setup} for scale, setup in SETUPS.items()
    }
    cell_labels: ClassVar[Mapping[str, str]] = {"cifar10": "CIFAR-10"}
    labels = LABELS

    def options(self, setup: PriorSetup) -> Mapping[str, str]:
        """Options of a prior in the usual order, and of one that begins with random orders."""
        half, three_quarters = setup.steps // 2, setup.steps * 3 // 4
        usual = "--prior.kind gpt"
        return {
            "usual": usual,
            "random": f"{usual} --prior.target-positions true --random-orders.all-until {half} "
            f"--random-orders.none-from {three_quarters}",
        }

    def measure(self, experiment: Experiment, seed: int, results: Results) -> None:
        """NLL at equal steps and seconds, and the distance of samples from test images."""
        super().measure(experiment, seed, results)
        extractor = open_extractor(experiment)
        test, image = experiment.find("cifar10-test"), TransformConfig(size=SIDE_PX)
        reference = cache(lambda: reference_images(test, image, extractor))
        sampling = SAMPLINGS[experiment.scale]

        def measured(kind: str) -> dict[str, float]:
            pipeline = open_pipeline(experiment, self.runs_of(experiment, seed, "cifar10")[kind])
            return sampled_distances(
                experiment, kind, pipeline, sampling, seed, extractor, reference()
            )

        for kind in LABELS:
            results.measure(f"samples/{kind}", partial(measured, kind))

    def tables(self, scale: str) -> Sequence[Table]:
        """The NLLs, and the distances of samples."""
        columns = ["Frechet distance", "kernel distance", "precision", "recall"]
        names = ("fd", "kd", "precision", "recall")
        rows = [
            Row(label, [f"samples/{kind}/{name}" for name in names])
            for kind, label in LABELS.items()
        ]
        return [*super().tables(scale), Table("Samples beside test images", columns, rows)]

    def claims(self, scale: str) -> Sequence[Claim]:
        """Random orders first give a lower NLL and lower distances."""
        figures = {
            "NLL at equal steps": "cifar10/steps/{}",
            "NLL at equal seconds": "cifar10/time/{}",
            "Frechet distance": "samples/{}/fd",
            "kernel distance": "samples/{}/kd",
        }
        return [
            Claim(
                f"random orders first: lower {words}", name.format("random"), name.format("usual")
            )
            for words, name in figures.items()
        ]

    def draw(self, experiment: Experiment, seed: int, folder: Path) -> None:
        """A sheet of samples of each."""
        for kind, run in self.runs_of(experiment, seed, "cifar10").items():
            path = folder / f"{kind}.png"
            if not path.is_file():
                pipeline = open_pipeline(experiment, run)
                codes = draw_codes(pipeline, Sampling(SHOWN), seed)
                write_sheet(path, pipeline.pictures(codes))

"""Sec. 4.3: CIFAR-10 by pixels of 512 colours against codes at f = 2, for one budget."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

from smalti.data.config import TransformConfig
from smalti.evaluation.extractors import Extractor
from smalti.evaluation.reference import Reference
from smalti.reproduce.experiment import Experiment, PlannedRun, PriorSetup
from smalti.reproduce.nll import nll_curve
from smalti.reproduce.paces import operations_of_step
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
from smalti.reproduce.speed import seconds_in_turn
from smalti.reproduce.study import STUDIES, Plot, Row, Study, Table
from smalti.reproduce.verdict import Claim
from smalti.sampling.pipeline import Pipeline

SIDE_PX = 32
SETUPS: Mapping[str, tuple[PriorSetup, Sampling]] = {
    "tiny": (
        PriorSetup(
            "cifar10",
            "cifar10-f2",
            f"{TINY_PRIOR} --image.size {SIDE_PX} --codes.views 2 --training.batch-size 16",
            500,
            shape=TINY_SHAPE,
        ),
        Sampling(256),
    ),
    "small": (
        PriorSetup("cifar10", "cifar10-f2", f"{SMALL_PRIOR} --image.size {SIDE_PX}", 30_000),
        Sampling(5000, batch_size=256),
    ),
    "paper": (
        PriorSetup("cifar10", "cifar10-f2", f"--preset prior-cifar10-f2 {PAPER_PRIOR}", 300_000),
        Sampling(50_000, batch_size=256),
    ),
}
"""The prior over codes, and the samples that are compared, by scale."""
TIMED = 4
SHOWN = 64


@STUDIES.register("cifar10")
class CIFAR10(Study):
    """CIFAR-10 by pixels of 512 colours against codes at f = 2, for one budget."""

    title = "Pixels and codes on CIFAR-10 (Sec. 4.3)"
    paper = (
        "The same transformer learns CIFAR-10 as pixels of 512 colours and as 16x16 codes at "
        "f = 2, for a fixed computational budget. With codes, FID is 18.63 % better, and sampling "
        "14.08 times faster."
    )
    remarks = (
        "The budget is the number of multiplications and additions of all training steps: pixels "
        "have sequences four times as long, so as many fewer steps. That of the tokenizer is not "
        "counted, as in the paper's comparison. Seconds a picture are measured in turn in one "
        "process. The Frechet distance is by EfficientNet-Lite0 and no FID: neither its values nor "
        "its ratios compare with the paper's. It is of few samples, so its values are too high, "
        "for both alike; the kernel distance has no such bias. NLLs of different codes do not "
        "compare, so there is no table of them. The table of parameters in the paper's appendix "
        "has one row CIFAR-10, that of the codes."
    )

    def runs(self, experiment: Experiment, seed: int) -> Sequence[PlannedRun]:
        """A prior over codes and one over pixels."""
        return list(self._runs(experiment, seed).values())

    def _runs(self, experiment: Experiment, seed: int) -> dict[str, PlannedRun]:
        setup, _ = SETUPS[experiment.scale]
        codes = experiment.prior("cifar10-codes", seed, setup)
        pixels = replace(setup, tokenizer="cifar10-f1")
        trial = experiment.prior("cifar10-pixels", seed, pixels)
        operations = [operations_of_step(experiment, run) for run in (codes, trial)]
        steps = max(1, round(setup.steps * operations[0] / operations[1]))
        return {
            "codes": codes,
            "pixels": experiment.prior("cifar10-pixels", seed, replace(pixels, steps=steps)),
        }

    def measure(self, experiment: Experiment, seed: int, results: Results) -> None:
        """Seconds a picture of both in turn, and the distance of samples from test images."""
        runs = self._runs(experiment, seed)
        for name, run in runs.items():
            results.add_curve(name, nll_curve(experiment.path(run)))
        pipelines = {name: open_pipeline(experiment, run) for name, run in runs.items()}
        results.measure("seconds", lambda: _seconds(pipelines))
        _, sampling = SETUPS[experiment.scale]
        extractor = open_extractor(experiment)
        reference = cache(lambda: _test_images(experiment, extractor))

        def measured(name: str) -> dict[str, float]:
            pipeline = pipelines[name]
            return sampled_distances(
                experiment, name, pipeline, sampling, seed, extractor, reference()
            )

        for name in pipelines:
            results.measure(name, partial(measured, name))

    def tables(self, scale: str) -> Sequence[Table]:
        """Distances and seconds of both."""
        columns = [
            "Frechet distance",
            "kernel distance",
            "precision",
            "recall",
            "seconds a picture",
        ]
        names = ("fd", "kd", "precision", "recall")
        rows = [
            Row(label, [*(f"{name}/{figure}" for figure in names), f"seconds/{name}"])
            for name, label in (("codes", "codes, f = 2"), ("pixels", "pixels, 512 colours"))
        ]
        return [Table("Samples beside test images", columns, rows)]

    def claims(self, scale: str) -> Sequence[Claim]:
        """Codes give the lower distance and are faster."""
        return [
            Claim("codes have the lower Frechet distance", "codes/fd", "pixels/fd", 1.229, True),
            Claim("codes have the lower kernel distance", "codes/kd", "pixels/kd"),
            Claim("codes sample faster", "seconds/codes", "seconds/pixels", 14.08, True),
        ]

    def plots(self, scale: str) -> Sequence[Plot]:
        """The NLL over the steps, to see whether the runs still learn."""
        curves = {"codes, f = 2": "codes", "pixels": "pixels"}
        return [Plot("nll", "steps", "NLL of unseen images, nats a token", curves)]

    def draw(self, experiment: Experiment, seed: int, folder: Path) -> None:
        """A sheet of samples of each."""
        for name, run in self._runs(experiment, seed).items():
            path = folder / f"{name}.png"
            if not path.is_file():
                pipeline = open_pipeline(experiment, run)
                _, sampling = SETUPS[experiment.scale]
                shown = replace(sampling, count=min(SHOWN, sampling.count))
                write_sheet(path, pipeline.pictures(draw_codes(pipeline, shown, seed)))


def _seconds(pipelines: Mapping[str, Pipeline]) -> dict[str, float]:
    """Seconds a picture of each, in batches of a few."""
    sampling = Sampling(TIMED, batch_size=TIMED)
    calls = {
        name: lambda p=pipeline: p.pictures(draw_codes(p, sampling, 0))
        for name, pipeline in pipelines.items()
    }
    return {name: seconds / TIMED for name, seconds in seconds_in_turn(calls).items()}


def _test_images(experiment: Experiment, extractor: Extractor) -> Reference:
    data = experiment.find("cifar10-test")
    return reference_images(data, TransformConfig(size=SIDE_PX), extractor)

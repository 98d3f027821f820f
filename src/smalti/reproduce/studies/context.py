"""Sec. 4.3, Fig. 7: how much of an image the window holds, over the factor f."""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from smalti.evaluation.extractors import Extractor
from smalti.evaluation.reference import Reference
from smalti.reproduce.experiment import Experiment, PlannedRun
from smalti.reproduce.factors import FACTORS, factor_runs
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

PAPER = {1: 1.0, 2: 3.86, 8: 65.81, 16: 280.68}
"""The paper's speed-up over f = 1."""
COMPARED: Mapping[str, tuple[int, int, int]] = {
    "tiny": (32, 4, 32),
    "small": (500, 8, 100),
    "paper": (5000, 1, 100),
}
"""Samples for the distance, their stride and batch size, by scale."""
SHOWN = 4


@STUDIES.register("context")
class ContextStudy(Study):
    """How much of an image the window holds, over the factor f."""

    title = "Context-rich codes (Sec. 4.3, Fig. 7)"
    paper = (
        "Transformers over as many codes, of f = 1 (pixels of 512 colours), 2, 8 and 16, draw "
        "faces of 256x256 pixels with the sliding window. Only f = 16 gives coherent images, and "
        "it samples 280.68 times faster than f = 1."
    )
    remarks = (
        "All priors read windows of as many codes: 16x16 as in the paper, but at the scale tiny "
        "8x8, for pictures of 128x128 pixels. Seconds are of one whole picture of each f, drawn in "
        "turn in one process with stride 1, as in the paper. Samples that are compared in the "
        "Frechet distance are drawn with a larger stride where the scale is not that of the paper, "
        "the same for all f. That distance is by EfficientNet-Lite0, of few samples, and no FID; "
        "the paper gives none for this figure."
    )

    def runs(self, experiment: Experiment, seed: int) -> Sequence[PlannedRun]:
        """A prior for each factor."""
        return list(factor_runs(experiment, seed, list(PAPER)).values())

    def measure(self, experiment: Experiment, seed: int, results: Results) -> None:
        """Seconds a picture of each factor, and the distance of samples from photographs."""
        runs = factor_runs(experiment, seed, list(PAPER))
        pipelines = {factor: open_pipeline(experiment, run) for factor, run in runs.items()}
        side = FACTORS[experiment.scale].side_px
        results.measure("seconds", lambda: _seconds(pipelines, side))
        extractor = open_extractor(experiment)
        reference = cache(lambda: _photographs(experiment, runs[1], extractor))

        def measured(factor: int) -> dict[str, float]:
            pipeline = pipelines[factor]
            count, stride, batch_size = COMPARED[experiment.scale]
            sampling = Sampling(count, side, stride, batch_size)
            return sampled_distances(
                experiment, f"f{factor}", pipeline, sampling, seed, extractor, reference()
            )

        for factor in runs:
            results.measure(f"f{factor}", partial(measured, factor))

    def tables(self, scale: str) -> Sequence[Table]:
        """Speed-up and distances of each factor."""
        speed = [
            Row(f"f = {factor}", [f"seconds/speed_up_f{factor}"], [f"{times:g}"])
            for factor, times in PAPER.items()
        ]
        samples = [
            Row(
                f"f = {factor}",
                [f"seconds/f{factor}", *(f"f{factor}/{name}" for name in ("fd", "kd"))],
            )
            for factor in PAPER
        ]
        return [
            Table("Speed-up of sampling over f = 1", ["times"], speed),
            Table(
                "Samples beside photographs",
                ["seconds a picture", "Frechet distance", "kernel distance"],
                samples,
            ),
        ]

    def claims(self, scale: str) -> Sequence[Claim]:
        """Larger factors are faster, and nearer to photographs."""
        larger = [factor for factor in PAPER if factor > 1]
        faster = [
            Claim(
                f"f = {factor} samples faster than f = 1",
                f"seconds/f{factor}",
                "seconds/f1",
                PAPER[factor],
                is_ratio=True,
            )
            for factor in larger
        ]
        nearer = [
            Claim(
                f"f = 16 has a lower {words} than f = {factor}",
                f"f16/{name}",
                f"f{factor}/{name}",
            )
            for name, words in (("fd", "Frechet distance"), ("kd", "kernel distance"))
            for factor in (1, 2, 8)
        ]
        return [*faster, *nearer]

    def plots(self, scale: str) -> Sequence[Plot]:
        """Distance over seconds a picture."""
        points = {f"f = {factor}": (f"seconds/f{factor}", f"f{factor}/fd") for factor in PAPER}
        return [
            Plot("context", "seconds a picture", "Frechet distance", points=points, is_log=True)
        ]

    def draw(self, experiment: Experiment, seed: int, folder: Path) -> None:
        """Samples of all factors side by side, a row for each."""
        path, side = folder / "samples_f1_f2_f8_f16.png", FACTORS[experiment.scale].side_px
        if path.is_file():
            return
        _, stride, batch_size = COMPARED[experiment.scale]
        rows = []
        for factor, run in factor_runs(experiment, seed, list(PAPER)).items():
            pipeline = open_pipeline(experiment, run)
            sampling = Sampling(SHOWN, side, stride, batch_size)
            keep = experiment.unfinished(f"shown-f{factor}", seed)
            rows += pipeline.pictures(draw_codes(pipeline, sampling, seed, keep))
        write_sheet(path, rows, columns=SHOWN)


def _seconds(pipelines: Mapping[int, Pipeline], side_px: int) -> dict[str, float]:
    """Seconds of a picture of each factor, and how many times faster it is than f = 1."""
    sampling = Sampling(1, side_px)
    calls = {
        f"f{factor}": lambda p=pipeline: p.pictures(draw_codes(p, sampling, 0))
        for factor, pipeline in pipelines.items()
    }
    seconds = seconds_in_turn(calls, rounds=1)
    speed_up = {f"speed_up_{name}": seconds["f1"] / own for name, own in seconds.items()}
    return seconds | speed_up


def _photographs(experiment: Experiment, run: PlannedRun, extractor: Extractor) -> Reference:
    """The photographs of the data set, at the size of the pictures that are drawn."""
    factors = FACTORS[experiment.scale]
    image = experiment.config(run).image.model_copy(update={"size": factors.side_px})
    return reference_images(experiment.find(factors.data), image, extractor)

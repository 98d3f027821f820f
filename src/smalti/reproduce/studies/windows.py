"""Figs. 5, 6, 10 and 13 to 23: images beyond the size of the training, and whether they have seams.

Each picture is drawn by the sliding window. Windows of the size of the training that were drawn
independently and put side by side have seams: they are the control.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from torch import Tensor

from smalti.data.config import TransformConfig
from smalti.evaluation.extractors import Extractor
from smalti.files import atomic_file
from smalti.reproduce.experiment import Experiment, PlannedRun, PriorSetup
from smalti.reproduce.nll import nll_curve
from smalti.reproduce.recipes import PAPER_PRIOR, SMALL_PRIOR, TINY_PRIOR, TINY_SHAPE
from smalti.reproduce.results import Results
from smalti.reproduce.samples import (
    Sampling,
    conditional_request,
    decoded,
    distances,
    draw_codes,
    draw_request,
    features_of,
    open_extractor,
    open_pipeline,
    photographs,
    reference_of_images,
)
from smalti.reproduce.seams import crops, seam_ratio, side_by_side
from smalti.reproduce.study import STUDIES, Plot, Row, Study, Table
from smalti.reproduce.verdict import Claim
from smalti.sampling.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Pictures:
    """What is drawn at a scale."""

    priors: Mapping[str, PriorSetup]
    """A prior of each kind: `none`, `coordinates` and `maps`."""
    tests: Mapping[str, str]
    """Name of the data set that each is compared with, which has the maps."""
    image: TransformConfig
    """How pictures of these become images of any size."""
    window_px: int
    measured: Sampling
    shown: Sequence[tuple[int, int]]
    """Heights and widths of the pictures that are shown, up to a megapixel."""
    shown_stride: int


def _tiny(options: str, conditions: Mapping[str, str]) -> PriorSetup:
    words = f"{TINY_PRIOR} --image.size 64 --image.resize-px 192 --held-out 0.1 {options}"
    return PriorSetup("streets", "streets", words, 900, conditions, TINY_SHAPE)


def _small(options: str, conditions: Mapping[str, str]) -> PriorSetup:
    words = f"{SMALL_PRIOR} --image.size 256 --image.resize-px 512 {options}"
    return PriorSetup("streets", "streets", words, 8000, conditions)


NO_DROP = "--condition-drop 0"
SHOWN = ((256, 1024), (512, 512), (416, 1024), (832, 1280))
PICTURES: Mapping[str, Pictures] = {
    "tiny": Pictures(
        {
            "none": _tiny("", {}),
            "coordinates": _tiny(NO_DROP, {"coordinates": ""}),
            "maps": _tiny(NO_DROP, {"segmentation": "street-labels"}),
        },
        dict.fromkeys(("none", "coordinates", "maps"), "streets-test"),
        TransformConfig(resize_px=192, small="enlarge"),
        64,
        Sampling(24, (128, 256), batch_size=24),
        ((64, 256), (256, 128), (192, 256), (1024, 1024)),
        4,
    ),
    "small": Pictures(
        {
            "none": _small("", {}),
            "coordinates": _small(NO_DROP, {"coordinates": ""}),
            "maps": _small(NO_DROP, {"segmentation": "street-labels"}),
        },
        dict.fromkeys(("none", "coordinates", "maps"), "streets-test"),
        TransformConfig(resize_px=512, small="enlarge"),
        256,
        Sampling(200, (512, 1024), batch_size=32),
        SHOWN,
        1,
    ),
    "paper": Pictures(
        {
            "none": PriorSetup(
                "churches", "churches", f"--preset prior-lsun-ct {PAPER_PRIOR}", 300_000
            ),
            "coordinates": PriorSetup(
                "faces",
                "faces-f16",
                f"--preset prior-faceshq-f16 {PAPER_PRIOR} {NO_DROP}",
                300_000,
                {"coordinate_map": ""},
            ),
            "maps": PriorSetup(
                "landscapes",
                "landscapes",
                f"--preset prior-s-flckr-f16 {PAPER_PRIOR} {NO_DROP}",
                300_000,
                {"segmentation": "landscape-labels"},
            ),
        },
        {"none": "churches", "coordinates": "faces", "maps": "landscapes-test"},
        TransformConfig(resize_px=512, small="enlarge"),
        256,
        Sampling(500, (512, 1024), batch_size=32),
        SHOWN,
        1,
    ),
}
KINDS = {
    "none": "no condition",
    "coordinates": "coordinates",
    "maps": "label maps",
    "tiles": "control: windows side by side",
    "photographs": "photographs",
}
DRAWN = ("none", "coordinates", "maps")


@STUDIES.register("windows")
class Windows(Study):
    """Images beyond the size of the training, and whether they have seams."""

    title = "Images beyond the size of the training (Figs. 5, 6, 10, 13 to 23)"
    paper = (
        "The sliding window draws images of any ratio and size, up to the megapixel regime, from "
        "priors that were trained on windows, if the statistics of the images are about spatially "
        "invariant or spatial information is available: label maps, or coordinates. The paper "
        "shows pictures and no numbers."
    )
    remarks = (
        "The seam is the gradient energy along the borders of the windows of the training, "
        "relative to that along the other borders of codes: 1 is no seam, as in photographs. The "
        "control draws such windows independently, by the prior without a condition, and decodes "
        "them side by side. Distances are of crops of the size of a window: `across` the former "
        "borders, and the windows themselves, each beside the same crops of test photographs, by "
        "EfficientNet-Lite0 and no FID. Priors of label maps have those of the test photographs. "
        "Where the data are too small for a size that is shown, their maps are enlarged."
    )

    def runs(self, experiment: Experiment, seed: int) -> Sequence[PlannedRun]:
        """A prior without a condition, one of coordinates and one of label maps."""
        return list(self._runs(experiment, seed).values())

    def _runs(self, experiment: Experiment, seed: int) -> dict[str, PlannedRun]:
        priors = PICTURES[experiment.scale].priors
        return {
            kind: experiment.prior(f"windows-{kind}", seed, setup) for kind, setup in priors.items()
        }

    def measure(self, experiment: Experiment, seed: int, results: Results) -> None:
        """Seams and distances of large pictures of each prior, of the control, of photographs."""
        runs, setting = self._runs(experiment, seed), PICTURES[experiment.scale]
        extractor = open_extractor(experiment)
        real = cache(partial(_test_photographs, experiment))

        def measured(kind: str) -> dict[str, float]:
            run = runs["none" if kind == "tiles" else kind]
            pipeline = open_pipeline(experiment, run)
            if kind == "tiles":
                codes = _tiles(pipeline, setting, seed)
            else:
                codes = _large(experiment, kind, pipeline, setting.measured, seed)
            images = decoded(pipeline, codes).cpu()
            beside = real(setting.tests["none" if kind == "tiles" else kind])
            seam = {"seam": _seam(images, setting, pipeline)}
            return seam | _crop_distances(images, beside, setting.window_px, extractor, seed)

        for kind, run in runs.items():
            results.add_curve(kind, nll_curve(experiment.path(run)))
            results.measure(kind, partial(measured, kind))
        results.measure("tiles", partial(measured, "tiles"))
        pipeline = open_pipeline(experiment, runs["none"])
        results.measure(
            "photographs",
            lambda: {"seam": _seam(real(setting.tests["none"]), setting, pipeline)},
        )

    def tables(self, scale: str) -> Sequence[Table]:
        """Seams and distances."""
        columns = ["seam", "FD across borders", "FD of windows", "KD across borders"]
        figures = ("seam", "across_fd", "window_fd", "across_kd")
        drawn = [kind for kind in KINDS if kind != "photographs"]
        height, width = _size(PICTURES[scale])
        return [
            Table(
                f"Pictures of {height}x{width} pixels beside photographs",
                columns,
                [Row(KINDS[kind], [f"{kind}/{name}" for name in figures]) for kind in drawn],
            ),
            Table("The seam of photographs", ["seam"], [Row("photographs", ["photographs/seam"])]),
        ]

    def claims(self, scale: str) -> Sequence[Claim]:
        """Sliding windows have weaker seams than the control; spatial information helps."""
        seams = [
            Claim(
                f"{KINDS[kind]}: weaker seam than windows side by side",
                f"{kind}/seam",
                "tiles/seam",
                is_ratio=True,
            )
            for kind in DRAWN
        ]
        across = Claim(
            "no condition: lower distance across borders than windows side by side",
            "none/across_fd",
            "tiles/across_fd",
        )
        if scale == "paper":  # whose priors are of different data
            return [*seams, across]
        helped = [
            Claim(
                f"{KINDS[kind]}: lower distance of windows than without a condition",
                f"{kind}/window_fd",
                "none/window_fd",
            )
            for kind in ("coordinates", "maps")
        ]
        return [*seams, across, *helped]

    def plots(self, scale: str) -> Sequence[Plot]:
        """The NLL of the priors over the steps."""
        curves = {KINDS[kind]: kind for kind in DRAWN}
        return [Plot("nll", "steps", "NLL of unseen images, nats a token", curves)]

    def draw(self, experiment: Experiment, seed: int, folder: Path) -> None:
        """Pictures of several ratios up to a megapixel, by each prior."""
        setting = PICTURES[experiment.scale]
        for kind, run in self._runs(experiment, seed).items():
            pipeline = open_pipeline(experiment, run)
            for size in setting.shown:
                path = folder / f"{kind}_{size[0]}x{size[1]}.png"
                if not path.is_file():
                    sampling = Sampling(1, size, setting.shown_stride)
                    codes = _large(experiment, kind, pipeline, sampling, seed)
                    with atomic_file(path) as temporary:
                        pipeline.pictures(codes)[0].save(temporary)


def _large(
    experiment: Experiment, kind: str, pipeline: Pipeline, sampling: Sampling, seed: int
) -> Tensor:
    """Codes (N, H, W) of large pictures, with the label maps of test photographs if needed."""
    assert isinstance(sampling.size_px, tuple)
    height, width = sampling.size_px
    keep = experiment.unfinished(f"{kind}-{height}x{width}", seed)
    if kind != "maps":
        return draw_codes(pipeline, sampling, seed, keep)
    setting = PICTURES[experiment.scale]
    data = experiment.find(setting.tests[kind])
    request = conditional_request(pipeline, data, setting.image, sampling)
    return draw_request(pipeline, request, sampling, seed, keep)


def _tiles(pipeline: Pipeline, setting: Pictures, seed: int) -> Tensor:
    """Codes (N, H, W) of pictures of independently drawn windows."""
    height, width = _size(setting)
    rows, columns = height // setting.window_px, width // setting.window_px
    sampling = setting.measured
    windows = Sampling(sampling.count * rows * columns, None, batch_size=sampling.batch_size)
    return side_by_side(draw_codes(pipeline, windows, seed), rows, columns)


def _test_photographs(experiment: Experiment, name: str) -> Tensor:
    setting = PICTURES[experiment.scale]
    image = setting.image.model_copy(update={"size": _size(setting)})
    return photographs(experiment.find(name), image, setting.measured.count)


def _size(setting: Pictures) -> tuple[int, int]:
    """Height and width in pixels of the pictures that are measured."""
    size = setting.measured.size_px
    assert isinstance(size, tuple)
    return size


def _seam(images: Tensor, setting: Pictures, pipeline: Pipeline) -> float:
    return seam_ratio(images, setting.window_px, pipeline.tokenizer.downsampling_factor)


def _crop_distances(
    images: Tensor, real: Tensor, window_px: int, extractor: Extractor, seed: int
) -> dict[str, float]:
    """Distances of crops across borders and of windows, from the same crops of photographs."""
    found: dict[str, float] = {}
    for name, is_across in (("across", True), ("window", False)):
        features = features_of(crops(images, window_px, is_across), extractor)
        beside = crops(real, window_px, is_across)
        reference = reference_of_images(beside, extractor, "crops of test photographs")
        measured = distances(features, reference, extractor, seed)
        found |= {f"{name}_{key}": value for key, value in measured.items()}
    return found

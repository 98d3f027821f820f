"""Sec. 4.1, Table 1: the transformer against PixelSNAIL, on the same codes.

Both have as many parameters within 5 %. Each is trained for the same steps; at equal seconds the
faster one counts in full, and the slower one up to the step that it reaches in that time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from smalti.prior.gpt.config import GPT2Config
from smalti.reproduce.budgets import add_budgets
from smalti.reproduce.experiment import Experiment, PlannedRun, PriorSetup
from smalti.reproduce.matching import check_matched, matched_pixelsnail, parameters_of
from smalti.reproduce.paces import sizes_of
from smalti.reproduce.recipes import PAPER_PRIOR, SMALL_PRIOR, TINY_PRIOR, TINY_SHAPE
from smalti.reproduce.results import Results
from smalti.reproduce.samples import Sampling, draw_codes, open_pipeline, write_sheet
from smalti.reproduce.study import STUDIES, Plot, Row, Study, Table
from smalti.reproduce.verdict import Claim
from smalti.runs.config import PriorRunConfig

SAMPLES = 16


@dataclass(frozen=True, slots=True)
class Cell:
    """A data set of the table."""

    label: str
    setup: PriorSetup
    paper: tuple[float, float, float] | None = None
    """The paper's NLL of the transformer at equal steps and at equal seconds, and of PixelSNAIL."""


IN, S_FLCKR, D_RIN = (4.78, 4.83, 4.96), (4.49, 4.57, 4.64), (4.70, 4.78, 4.88)


def _tiny(data: str, tokenizer: str, options: str, conditions: Mapping[str, str]) -> PriorSetup:
    words = f"{TINY_PRIOR} {options}"
    return PriorSetup(data, tokenizer, words, 500, conditions, TINY_SHAPE)


def _small(data: str, tokenizer: str, conditions: Mapping[str, str], steps: int) -> PriorSetup:
    words = f"{SMALL_PRIOR} --image.size 256 --image.resize-px 256"
    return PriorSetup(data, tokenizer, words, steps, conditions)


def _paper(data: str, tokenizer: str, preset: str, conditions: Mapping[str, str]) -> PriorSetup:
    return PriorSetup(data, tokenizer, f"--preset {preset} {PAPER_PRIOR}", 300_000, conditions)


PHOTOS_64 = "--image.size 64 --image.resize-px 128 --image.small skip --held-out 0.2"
STREETS_64 = "--image.size 64 --image.resize-px 192 --held-out 0.1 --condition-drop 0"
ANIMALS_64 = "--image.size 64 --image.resize-px 96 --held-out 0.2 --condition-drop 0"
LABELS = {"segmentation": "street-labels"}
DEPTH = {"depth": "depth"}

CELLS: Mapping[str, Mapping[str, Cell]] = {
    "tiny": {
        "cifar10": Cell(
            "CIFAR-10, f = 4", _tiny("cifar10", "cifar10-f4", "--image.size 32 --codes.views 2", {})
        ),
        "photos": Cell(
            "ImageNet, 500 photographs, f = 8 (paper: IN)",
            _tiny("photos", "photos-f8", PHOTOS_64, {}),
            IN,
        ),
        "depth": Cell(
            "25 animals from depth, f = 8 (paper: D-RIN)",
            _tiny("depth", "photos-f8", ANIMALS_64, DEPTH),
            D_RIN,
        ),
        "streets": Cell(
            "CamVid from label maps, f = 8 (paper: S-FLCKR)",
            _tiny("streets", "streets", STREETS_64, LABELS),
            S_FLCKR,
        ),
    },
    "small": {
        "photos": Cell(
            "ImageNet, f = 16 (paper: IN)", _small("photos", "photos-f16", {}, 8000), IN
        ),
        "places": Cell(
            "ADE20K, f = 16 (paper: LSUN-CT)",
            _small("streets", "streets", {}, 8000),
            (4.63, 4.69, 4.89),
        ),
        "depth": Cell(
            "DIODE from depth, f = 16 (paper: D-RIN)",
            _small("depth", "photos-f16", DEPTH, 5000),
            D_RIN,
        ),
        "streets": Cell(
            "ADE20K from label maps, f = 16 (paper: S-FLCKR)",
            _small("streets", "streets", LABELS, 5000),
            S_FLCKR,
        ),
    },
    "paper": {
        "animals": Cell(
            "RIN / 85 M", _paper("animals", "animals", "prior-rin", {}), (4.78, 4.84, 4.96)
        ),
        "churches": Cell(
            "LSUN-CT / 310 M",
            _paper("churches", "churches", "prior-lsun-ct", {}),
            (4.63, 4.69, 4.89),
        ),
        "photos": Cell("IN / 310 M", _paper("photos", "photos-f16", "prior-in", {}), IN),
        "depth": Cell(
            "D-RIN / 180 M", _paper("depth", "photos-f16", "prior-d-rin-v1", DEPTH), D_RIN
        ),
        "landscapes": Cell(
            "S-FLCKR / 310 M",
            _paper(
                "landscapes",
                "landscapes",
                "prior-s-flckr-f16",
                {"segmentation": "landscape-labels"},
            ),
            S_FLCKR,
        ),
    },
}


@STUDIES.register("table1")
class Table1(Study):
    """The transformer against PixelSNAIL, on the same codes."""

    title = "Transformer and PixelSNAIL (Sec. 4.1, Table 1)"
    paper = (
        "A transformer and a PixelSNAIL with as many parameters learn the same codes. The "
        "transformer is ahead on all data sets, at equal steps and, by less, at equal time: "
        "PixelSNAIL trains about twice as fast."
    )
    remarks = (
        "The NLL is that of unseen images, the lowest within the budget, in nats a token. Seconds "
        "are those of training steps of both models, measured in turn in one process of this "
        "machine; on a processor their ratio is another one than on a graphics card. Where a row "
        "names a data set of the paper, ours is another one with the same task, so only the order "
        "of the two models compares. The number of parameters of both is checked to differ by 5 % "
        "at most. In the paper's Table 3, RIN fits width 768, and D-RINv1 width 1024 (the caption "
        "has it the other way round); the table here has the numbers that we count."
    )

    def runs(self, experiment: Experiment, seed: int) -> Sequence[PlannedRun]:
        """A transformer and a PixelSNAIL for each data set."""
        cells = CELLS[experiment.scale]
        return [run for cell in cells for run in self._pair(experiment, seed, cell).values()]

    def _pair(self, experiment: Experiment, seed: int, cell: str) -> dict[str, PlannedRun]:
        setup = CELLS[experiment.scale][cell].setup
        transformer = experiment.prior(f"table1-{cell}-transformer", seed, setup)
        config = experiment.config(transformer)
        assert isinstance(config, PriorRunConfig)
        assert isinstance(config.prior, GPT2Config)
        matched = matched_pixelsnail(config.prior, sizes_of(experiment, transformer))
        shape = (
            f"--prior.kind pixelsnail --prior.blocks {matched.blocks} --prior.heads "
            f"{matched.heads} --prior.width {matched.width} --prior.dropout {matched.dropout}"
        )
        own = replace(setup, shape=shape)
        pixelsnail = experiment.prior(f"table1-{cell}-pixelsnail", seed, own)
        return {"transformer": transformer, "pixelsnail": pixelsnail}

    def measure(self, experiment: Experiment, seed: int, results: Results) -> None:
        """NLL of both models at equal steps and at equal seconds, parameters and pace."""
        for cell in CELLS[experiment.scale]:
            pair = self._pair(experiment, seed, cell)
            results.add(f"{cell}/parameters", _parameters(experiment, pair))
            add_budgets(experiment, results, cell, pair)
            seconds = [results.figures[f"{cell}/seconds/{name}"] for name in pair]
            results.add(f"{cell}/seconds", {"ratio": seconds[0] / seconds[1]})

    def tables(self, scale: str) -> Sequence[Table]:
        """The NLL at equal steps and seconds, and what both models are."""
        columns = ["transformer", "PixelSNAIL"]
        rows, kinds = [], []
        for name, cell in CELLS[scale].items():
            for number, (kind, words) in enumerate((("steps", "steps"), ("time", "seconds"))):
                figures = [f"{name}/{kind}/{model}" for model in ("transformer", "pixelsnail")]
                paper = [f"{cell.paper[n]:.2f}" for n in (number, 2)] if cell.paper else ["", ""]
                rows.append(Row(f"{cell.label}: equal {words}", figures, paper))
            kinds.append(
                Row(
                    cell.label,
                    [
                        f"{name}/parameters/transformer",
                        f"{name}/parameters/pixelsnail",
                        f"{name}/seconds/ratio",
                    ],
                )
            )
        return [
            Table("NLL, nats a token, lower is better", columns, rows),
            Table(
                "The two models",
                [
                    "parameters of the transformer, M",
                    "of PixelSNAIL, M",
                    "steps of PixelSNAIL in the time of one of the transformer (paper: about 2)",
                ],
                kinds,
            ),
        ]

    def claims(self, scale: str) -> Sequence[Claim]:
        """The transformer is ahead in every cell, at equal steps and at equal seconds."""
        return [
            Claim(
                f"{cell.label}: transformer below PixelSNAIL at equal {words}",
                f"{name}/{kind}/transformer",
                f"{name}/{kind}/pixelsnail",
                cell.paper and cell.paper[2] - cell.paper[number],
            )
            for name, cell in CELLS[scale].items()
            for number, (kind, words) in enumerate((("steps", "steps"), ("time", "seconds")))
        ]

    def plots(self, scale: str) -> Sequence[Plot]:
        """The NLL of both models over the time of training, for each data set."""
        return [
            Plot(
                f"nll_{name}",
                f"time of training, in steps of the transformer ({cell.label})",
                "NLL of unseen images, nats a token",
                {model: f"{name}/{model}" for model in ("transformer", "pixelsnail")},
            )
            for name, cell in CELLS[scale].items()
        ]

    def draw(self, experiment: Experiment, seed: int, folder: Path) -> None:
        """Samples of both models on the data sets without a condition."""
        for name, cell in CELLS[experiment.scale].items():
            for model, run in self._pair(experiment, seed, name).items():
                path = folder / f"{name}_{model}.png"
                if not cell.setup.conditions and not path.is_file():
                    pipeline = open_pipeline(experiment, run)
                    codes = draw_codes(pipeline, Sampling(SAMPLES), seed)
                    write_sheet(path, pipeline.pictures(codes))


def _parameters(experiment: Experiment, pair: Mapping[str, PlannedRun]) -> dict[str, float]:
    """Millions of parameters of both models; refused if they differ by more than 5 %."""
    found = {}
    for name, run in pair.items():
        config = experiment.config(run)
        assert isinstance(config, PriorRunConfig)
        found[name] = parameters_of(config.prior, sizes_of(experiment, run))
    check_matched(found["pixelsnail"], found["transformer"])
    return {name: count / 1e6 for name, count in found.items()}

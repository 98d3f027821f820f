"""Choices of the transformer's blocks, each in place of that of GPT-2, and all together."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from smalti.reproduce.experiment import Experiment, PriorSetup
from smalti.reproduce.prior_study import PriorStudy
from smalti.reproduce.recipes import PAPER_PRIOR, SMALL_PRIOR, TINY_PRIOR, TINY_SHAPE
from smalti.reproduce.study import STUDIES
from smalti.reproduce.verdict import Claim

GPT2 = (
    "--prior.kind gpt --prior.norm layer --prior.mlp gelu --prior.query-key-norm false "
    "--prior.positions learned"
)
CHOICES: Mapping[str, str] = {
    "gpt2": "--prior.kind gpt2",
    "rms": f"{GPT2} --prior.norm rms",
    "swiglu": f"{GPT2} --prior.mlp swiglu",
    "query_key_norm": f"{GPT2} --prior.query-key-norm true",
    "rotary": f"{GPT2} --prior.positions rotary",
    "rotary_query_key_norm": f"{GPT2} --prior.positions rotary --prior.query-key-norm true",
    "shared_keys": f"{GPT2} --prior.kv-heads 1",
    "class_by_norm": f"{GPT2} --prior.class-by norm",
    "all": "--prior.kind gpt",
}
LABELS = {
    "gpt2": "GPT-2, the paper's",
    "rms": "RMS norm",
    "swiglu": "SwiGLU",
    "query_key_norm": "normalised queries and keys",
    "rotary": "rotary positions",
    "rotary_query_key_norm": "rotary positions, normalised queries and keys",
    "shared_keys": "one head of keys and values",
    "class_by_norm": "class in the normalisations",
    "all": "the same with RMS norm and SwiGLU",
}
OF_CLASSES = ("class_by_norm",)  # choices for priors of classes
CELLS: Mapping[str, Mapping[str, PriorSetup]] = {
    "tiny": {
        "cifar10": PriorSetup(
            "cifar10",
            "cifar10-f4",
            f"{TINY_PRIOR} --image.size 32 --codes.views 2",
            400,
            {"class": ""},
            TINY_SHAPE,
        ),
        "photos": PriorSetup(
            "photos",
            "photos-f8",
            f"{TINY_PRIOR} --image.size 64 --image.resize-px 128 --image.small skip --held-out 0.2",
            400,
            shape=TINY_SHAPE,
        ),
    },
    "small": {
        "cifar10": PriorSetup(
            "cifar10", "cifar10-f2", f"{SMALL_PRIOR} --image.size 32", 5000, {"class": ""}
        ),
        "photos": PriorSetup(
            "photos", "photos-f16", f"{SMALL_PRIOR} --image.size 256 --image.resize-px 256", 5000
        ),
    },
    "paper": {
        "cifar10": PriorSetup(
            "cifar10",
            "cifar10-f2",
            f"--preset prior-cifar10-f2 {PAPER_PRIOR}",
            100_000,
            {"class": ""},
        ),
        "photos": PriorSetup("photos", "photos-f16", f"--preset prior-in {PAPER_PRIOR}", 300_000),
    },
}


@STUDIES.register("blocks")
class Blocks(PriorStudy):
    """Choices of the transformer's blocks."""

    title = "Blocks of the transformer (not in the paper)"
    paper = (
        "The paper's transformer has the blocks of GPT-2, and is compared with no others. Here "
        "each choice of today takes the place of GPT-2's alone, and then all do."
    )
    remarks = (
        "The NLL is that of unseen images, the lowest within the budget, in nats a token. Seconds "
        "are those of training steps, measured in turn in one process of this machine. A head of "
        "keys and values for all queries, and classes in the normalisations, change the number of "
        "parameters."
    )

    name = "blocks"
    cells = CELLS
    cell_labels: ClassVar[Mapping[str, str]] = {
        "cifar10": "CIFAR-10, with classes",
        "photos": "photographs",
    }
    labels = LABELS

    def options(self, setup: PriorSetup) -> Mapping[str, str]:
        """Options of the choices that are possible on a data set."""
        has_classes = "class" in setup.conditions
        possible = [choice for choice in CHOICES if has_classes or choice not in OF_CLASSES]
        return {choice: CHOICES[choice] for choice in possible}

    def claims(self, scale: str) -> Sequence[Claim]:
        """Each choice is below GPT-2's, at equal steps and at equal seconds."""
        return [
            Claim(
                f"{self.cell_labels[cell]}: {LABELS[choice]} below GPT-2 at equal {words}",
                f"{cell}/{kind}/{choice}",
                f"{cell}/{kind}/gpt2",
            )
            for cell, setup in self.cells[scale].items()
            for choice in self.options(setup)
            if choice != "gpt2"
            for kind, words in (("steps", "steps"), ("time", "seconds"))
        ]

    def draw(self, experiment: Experiment, seed: int, folder: Path) -> None:
        """No pictures: those of priors of nearly the same NLL look alike."""

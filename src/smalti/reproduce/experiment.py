"""A study at one scale in one folder: the runs that it plans, and where everything lies.

FOLDER/study.json     study, scale, budget and version
FOLDER/seeds/         what was measured of each seed
FOLDER/pictures/      pictures of each seed
FOLDER/README.md      the page, with its plots and `figures.json`
RUNS/SCALE/NAME       a run of `smalti train`; several studies share RUNS
RUNS/SCALE/codes/     codes that compared runs share, so that they are encoded once
"""

import contextlib
import shlex
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from smalti.reproduce.data_sets import DATA_SETS, find_data
from smalti.reproduce.recipes import tokenizer_recipe
from smalti.runs.config import BaseRunConfig

UNFINISHED = "unfinished"
"""Folder of the codes of samples that are being drawn."""

ReadConfig = Callable[[str, Sequence[str]], BaseRunConfig]
"""Makes the config of a stage from the words of a command, as `smalti train` does."""
FindData = Callable[[str], str]
"""Finds a data set by the name that the studies give it."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run of `smalti train`, before it is trained."""

    name: str
    stage: str
    words: tuple[str, ...]
    """Options of the command, with `--out`."""
    needs: tuple["PlannedRun", ...] = ()
    """The runs whose tokenizers it is trained with."""

    @property
    def command(self) -> str:
        """The command that trains the same."""
        return f"smalti train {self.stage} {shlex.join(self.words)}"

    @property
    def with_needs(self) -> Iterator["PlannedRun"]:
        """The runs that it needs, each before those that need it, then the run itself."""
        for need in self.needs:
            yield from need.with_needs
        yield self


@dataclass(frozen=True, slots=True)
class PriorSetup:
    """What the prior of a comparison is trained on, and how."""

    data: str
    """Name of the data set."""
    tokenizer: str
    """Name of the tokenizer of the images."""
    words: str
    """Options of `smalti train prior`, but for the shape of the prior."""
    steps: int
    """Steps at a budget of 1."""
    conditions: Mapping[str, str] = field(default_factory=dict)
    """Kinds of conditions, each with the name of its tokenizer, or "" if it has none."""
    shape: str = ""
    """Options of the shape of the prior; the preset's if empty."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A study at one scale in one folder."""

    scale: str
    folder: Path
    runs_folder: Path
    """RUNS, which may be shared with other studies."""
    find: FindData
    read: ReadConfig
    budget: float = 1.0
    """Factor of the steps of the compared runs; tokenizers that several runs share keep theirs."""
    device: str = "auto"

    @classmethod
    def in_folders(
        cls,
        scale: str,
        folder: Path,
        runs_folder: Path,
        data: Sequence[str],
        read: ReadConfig,
        budget: float = 1.0,
        device: str = "auto",
    ) -> Self:
        """Make an experiment whose data lie in some folders."""
        return cls(
            scale,
            folder,
            runs_folder,
            lambda name: find_data(scale, name, data),
            read,
            budget,
            device,
        )

    def with_folders_by_name(self, data: str, runs: str) -> Self:
        """The experiment with names in place of its folders, to show the commands of its runs.

        Args:
            data: name of the folder of the data sets.
            runs: name of the folder of the runs.
        """
        files = DATA_SETS[self.scale]
        return replace(self, find=lambda name: f"{data}/{files[name].file}", runs_folder=Path(runs))

    def path(self, run: PlannedRun | str) -> Path:
        """The folder of a run."""
        name = run if isinstance(run, str) else run.name
        return self.runs_folder / self.scale / name

    def unfinished(self, name: str, seed: int) -> Path:
        """File of the codes of samples, from which their drawing goes on where it was stopped."""
        path = self.folder / UNFINISHED / f"{name}-seed{seed}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def remove_unfinished(self, seed: int) -> None:
        """Delete the codes of samples of a seed, once all of it is measured."""
        for path in (self.folder / UNFINISHED).glob(f"*-seed{seed}.safetensors"):
            path.unlink()
        with contextlib.suppress(OSError):  # there is none, or it has codes of other seeds
            (self.folder / UNFINISHED).rmdir()

    def config(self, run: PlannedRun) -> BaseRunConfig:
        """The config of a planned run.

        Raises:
            InputError: an option is not allowed.
        """
        return self.read(run.stage, run.words)

    def tokenizer(self, name: str) -> PlannedRun:
        """Plan a tokenizer that all seeds and several studies share.

        Raises:
            InputError: its data are missing.
        """
        recipe = tokenizer_recipe(self.scale, name)
        return self._run(recipe.stage, name, recipe.data, shlex.split(recipe.words))

    def prior(
        self, name: str, seed: int, setup: PriorSetup, words: Sequence[str] = ()
    ) -> PlannedRun:
        """Plan a prior.

        Args:
            name: name of the run, to which the seed and a budget other than 1 are added.
            seed: seed of the run.
            setup: data, tokenizers, options and steps.
            words: options that differ between the compared runs.

        Raises:
            InputError: its data are missing.
        """
        images = self.tokenizer(setup.tokenizer)
        needs = [images]
        options = [*shlex.split(f"{setup.words} {setup.shape}"), "--vqgan", str(self.path(images))]
        for kind, tokenizer in setup.conditions.items():
            value = kind
            if tokenizer:
                needs.append(self.tokenizer(tokenizer))
                value = f"{kind}={self.path(needs[-1])}"
            options += ["--condition", value]
        options += ["--codes.folder", str(self._codes_folder(setup, seed)), *words]
        return self.compared("prior", name, seed, setup.data, options, setup.steps, needs)

    def grown(self, steps: int) -> int:
        """Steps of a compared run that has so many at a budget of 1."""
        return max(1, round(steps * self.budget))

    def _codes_folder(self, setup: PriorSetup, seed: int) -> Path:
        """Where the codes lie that the runs of a setup and a seed share."""
        setting = f"{setup.data} {setup.words} {sorted(setup.conditions.items())}"
        name = f"{setup.tokenizer}-{zlib.crc32(setting.encode()):08x}-seed{seed}"
        return self.runs_folder / self.scale / "codes" / name

    def compared(
        self,
        stage: str,
        name: str,
        seed: int,
        data: str,
        words: Sequence[str],
        steps: int,
        needs: Sequence[PlannedRun] = (),
    ) -> PlannedRun:
        """Plan a run that a study compares with others: it has a seed, and the budget counts.

        Args:
            stage: `vqgan` or `prior`.
            name: as for `prior`.
            seed: seed of the run.
            data: name of the data set.
            words: its options.
            steps: steps at a budget of 1.
            needs: runs whose tokenizers it is trained with.

        Raises:
            InputError: its data are missing.
        """
        own = [*words, "--training.total-steps", str(self.grown(steps)), "--seed", str(seed)]
        grown = "" if self.budget == 1 else f"-budget{self.budget:g}"
        return self._run(stage, f"{name}{grown}-seed{seed}", data, own, tuple(needs))

    def _run(
        self,
        stage: str,
        name: str,
        data: str,
        words: Sequence[str],
        needs: tuple[PlannedRun, ...] = (),
    ) -> PlannedRun:
        own = [*words, "--data", self.find(data), "--out", str(self.path(name))]
        if self.device != "auto" and stage != "pixels":
            own += ["--training.device", self.device]
        return PlannedRun(name, stage, tuple(own), needs)


def in_order(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """All runs that some runs need and they themselves, each once, in the order of training."""
    return list({run.name: run for one in runs for run in one.with_needs}.values())

"""Experiments whose networks and data are so small that they take seconds."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from smalti.cli.train_config import read_config
from smalti.reproduce.data_sets import DATA_SETS
from smalti.reproduce.experiment import Experiment
from smalti.reproduce.stand_in import write_stand_in
from smalti.runs.config import ROOTS, BaseRunConfig

STEPS = ["--training.eval-steps", "2", "--training.save-steps", "2", "--training.batch-size", "4"]
STEPS += ["--training.total-steps", "2", "--training.accumulation-steps", "1"]
STEPS += ["--training.precision", "float32"]
SHRUNK = {
    "vqgan": [
        *("--vqgan.channels", "4", "--vqgan.norm-groups", "1", "--vqgan.residual-blocks", "1"),
        *("--vqgan.code-dim", "8", "--vqgan.codebook-size", "16", "--loss.perceptual.kind"),
        *("none", "--loss.adversary.start", "0", "--discriminator.filters", "4", *STEPS),
    ],
    "pixels": ["--codebook-size", "16", "--pixels", "200", "--iterations", "1"],
    "prior": [*("--codes.views", "1", "--held-out", "0.2"), *STEPS],
}
GPT = ["--prior.layers", "1", "--prior.heads", "1", "--prior.width", "64"]


def read_shrunk(stage: str, words: Sequence[str]) -> BaseRunConfig:
    """The config of a run's words with networks of some hundred parameters and two steps."""
    extra = [*SHRUNK[stage]]
    if stage == "prior" and "pixelsnail" not in words:  # which is matched to the shrunk transformer
        extra += GPT
    if "labels" in " ".join(words) and stage == "vqgan":  # its codes are fsq's levels
        extra[extra.index("--vqgan.codebook-size") + 1] = "1024"
    return read_config(ROOTS[stage], [*words, *extra])


@pytest.fixture(autouse=True)
def _without_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run draws its curves, which takes longer than its training here."""
    monkeypatch.setattr("smalti.runs.data.draw_curves", lambda folder: None)


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], str]:
    """Random pictures in place of a data set of a scale."""
    folder = tmp_path_factory.mktemp("stand-ins")

    def find(scale: str, name: str) -> str:
        place = folder / scale / name
        if not place.is_dir():
            write_stand_in(place, DATA_SETS[scale][name])
        return str(place)

    return find


@pytest.fixture
def make_experiment(
    tmp_path: Path, stand_ins: Callable[[str, str], str]
) -> Callable[..., Experiment]:
    """Make an experiment of a scale in a folder, with two steps of shrunk networks."""

    def make(scale: str = "tiny", name: str = "study", budget: float = 1.0) -> Experiment:
        return Experiment(
            scale=scale,
            folder=tmp_path / name,
            runs_folder=tmp_path / "runs",
            find=lambda data: stand_ins(scale, data),
            read=read_shrunk,
            budget=budget,
            device="cpu",
        )

    return make

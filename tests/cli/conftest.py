"""Tiny runs of every kind, trained once by the command itself, and a way to call it in process."""

import contextlib
import hashlib
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage import data

from helpers.curves import draw_nothing
from smalti.cli.main import main

TINY_TRAINING = {
    "training.total_steps": 3,
    "training.batch_size": 4,
    "training.eval_images": 4,
    "training.precision": "float32",
}
TINY_VQGAN = TINY_TRAINING | {
    "image.size": 16,
    "vqgan.channel_multipliers": [1, 1],
    "vqgan.code_dim": 8,
    "vqgan.codebook_size": 16,
    "loss.perceptual.kind": "none",
    "discriminator.layers": 1,
}
TINY_PRIOR = TINY_TRAINING | {
    "codes.views": 2,
    "prior.layers": 1,
    "prior.heads": 2,
    "prior.width": 16,
}


def _options(values: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(f"--{name}={value}" for name, value in values.items())


@dataclass(frozen=True)
class Result:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def error_lines(self) -> list[str]:
        return self.err.splitlines()


def _call(*arguments: object) -> Result:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse ends by itself
            code = int(end.code or 0)
    return Result(code, out.getvalue(), err.getvalue())


def _succeed(*arguments: object) -> Result:
    """Run a command that must work."""
    result = _call(*arguments)
    assert result.code == 0, result.err
    return result


def _contents(folder: Path) -> dict[str, str]:
    """Every path below a folder, and a hash of every file."""
    found = {}
    for root, folders, files in os.walk(folder):
        found |= {os.path.join(root, name): "folder" for name in folders}
        for name in files:
            path = Path(root, name)
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@dataclass(frozen=True)
class World:
    """A folder with photographs and a run of each kind. Tests must not change it."""

    root: Path
    tiny: tuple[str, ...] = _options(TINY_VQGAN)
    """Options that make `smalti train vqgan` small."""
    tiny_prior: tuple[str, ...] = _options(TINY_PRIOR)

    @property
    def photos(self) -> Path:
        """Twelve pictures of 24x20 pixels, in two sub-folders."""
        return self.root / "photos"

    @property
    def picture(self) -> Path:
        return self.photos / "cat" / "1.png"

    @property
    def vqgan(self) -> Path:
        return self.root / "runs" / "vqgan"

    @property
    def prior(self) -> Path:
        """Unconditional."""
        return self.root / "runs" / "prior"

    @property
    def classes(self) -> Path:
        """A prior of the classes cat and person."""
        return self.root / "runs" / "classes"


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _no_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command draws curves; `tests/test_stages.py` and `tests/report` see them drawn."""
    draw_nothing(monkeypatch)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("world"))
    for name, picture in (("cat", data.chelsea()), ("person", data.astronaut())):
        (made.photos / name).mkdir(parents=True)
        for number in range(6):
            left, top = 40 * number, 30 * number
            crop = Image.fromarray(picture).crop((left, top, left + 48, top + 40))
            crop.resize((24, 20)).save(made.photos / name / f"{number}.png")
    prior = ["train", "prior", "--data", made.photos, "--vqgan", made.vqgan, *made.tiny_prior]
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        _succeed("train", "vqgan", "--data", made.photos, "--out", made.vqgan, *made.tiny)
        _succeed(*prior, "--out", made.prior)
        _succeed(*prior, "--out", made.classes, "--condition", "class")
    return made


@pytest.fixture(scope="session")
def call() -> Callable[..., Result]:
    """Runs a command in this process."""
    return _call


@pytest.fixture(scope="session")
def succeed() -> Callable[..., Result]:
    """Runs a command that must work."""
    return _succeed


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, str]]:
    """Every path below a folder, with a hash of every file."""
    return _contents


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(
    call: Callable[..., Result],
    contents: Callable[[Path], dict[str, str]],
    here: Path,
    world: World,
) -> Callable[..., None]:
    """Runs a command that must be refused with a line that has all the words."""

    def run(arguments: Sequence[object], *words: str) -> None:
        before = contents(here) | contents(world.root)
        result = call(*arguments)
        assert result.code == 2, result.err
        assert len(result.error_lines) == 1, result.err
        for word in words:
            assert word in result.err
        assert contents(here) | contents(world.root) == before

    return run

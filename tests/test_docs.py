"""What README, docs and presets tell to type is understood, and the files that they name exist."""

import importlib
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from smalti.cli.main import COMMANDS, MODULES
from smalti.cli.options import hyphened, options_of, sections_of
from smalti.cli.presets import presets
from smalti.cli.resume import changeable_options
from smalti.cli.train_config import SHORT_PATHS, read_config
from smalti.cli.train_help import page as help_page
from smalti.runs.config import BaseRunConfig, PixelsRunConfig, PriorRunConfig, VQGANRunConfig

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE, TESTS = PROJECT / "src" / "smalti", PROJECT / "tests"
PYTHON = [
    path
    for top in ("src", "tests", "docs", "benchmarks", "examples")
    for path in (PROJECT / top).rglob("*.py")
]
PAGES = [
    *PROJECT.glob("*.md"),
    *(page for top in ("docs", "examples", "tests") for page in (PROJECT / top).rglob("*.md")),
]
PAGES = sorted(page for page in PAGES if page.name != "CHANGELOG.md")  # it tells what once was
ROOTS = {"vqgan": VQGANRunConfig, "prior": PriorRunConfig, "pixels": PixelsRunConfig}
TRAIN_WORDS = {"--preset", "--config", "--dry-run", "--print-config", "--help"}
PLACEHOLDERS = {"COMMAND", "STAGE", "..."}
"""Words that stand for several commands or for what the reader has to fill in."""
SECTIONS = ("image", "vqgan", "prior", "training", "loss", "discriminator", "codes", "optimizer")


class Typed(NamedTuple):
    """A command that a page tells to type."""

    page: Path
    words: tuple[str, ...]
    is_whole: bool
    """A line of its own, rather than words in a sentence, which may leave something out."""

    def __str__(self) -> str:
        return f"{self.page.relative_to(PROJECT)}: {' '.join(self.words)}"


def pictures(page: Path) -> set[Path]:
    """The pictures of this project that a page shows."""
    text = page.read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"", text)
    return {(page.parent / (markdown or html)).resolve() for markdown, html in shown}


def commands() -> Iterator[Typed]:
    """The smalti commands of all pages and presets, as whole lines and in sentences."""
    for page in [*PAGES, *presets()]:
        text = re.sub(r"\\\n[#\s]*", " ", page.read_text(encoding="utf-8"))
        lines = re.findall(
            r"(?m)^#? {2,}(?:\$ |next: )?(?:torchrun .*-m |srun (?:.* )?)?smalti (.*)", text
        )
        sentences = re.findall(r"`smalti ([^`]*)`", text)
        for line in lines + sentences:
            words = tuple(shlex.split(line, comments=True))
            if not PLACEHOLDERS & set(words):
                yield Typed(page, words, is_whole=line in lines)


TYPED = list(commands())
TRAINING = [typed for typed in TYPED if typed.words[0] == "train" and len(typed.words) > 1]
RESUMING = [typed for typed in TYPED if typed.words[0] == "resume"]
OTHERS = [typed for typed in TYPED if typed.words[0] in set(COMMANDS) - {"train", "resume"}]


def options_in(words: tuple[str, ...]) -> set[str]:
    """The options among words; short names of options of training as the options themselves."""
    found = {word.partition("=")[0].removeprefix("--") for word in words if word.startswith("--")}
    is_training = words[0] in ("train", "resume")
    return {f"--{SHORT_PATHS.get(name, name) if is_training else name}" for name in found}


def test_commands_are_found() -> None:
    assert len(TRAINING) > 60
    assert {typed.words[0] for typed in OTHERS} > {"sample", "complete", "evaluate", "import"}
    named = {typed.words[0] for typed in TYPED}
    assert named <= {*COMMANDS, "help", "--help", "--version"}


@pytest.mark.parametrize("typed", OTHERS, ids=str)
def test_command_is_understood(typed: Typed) -> None:
    command, *arguments = typed.words
    module = importlib.import_module(f"smalti.cli.{MODULES.get(command, command)}")
    parser = module.parser()
    assert options_in(typed.words) <= parser.flags.keys()
    if typed.is_whole and "--help" not in arguments:
        parser.read(arguments)


@pytest.mark.parametrize("typed", TRAINING, ids=str)
def test_options_of_training_exist(typed: Typed) -> None:
    root = ROOTS[typed.words[1]]
    known = {option.flag for option in options_of(root).values()} | TRAIN_WORDS
    known |= {f"--{hyphened(path)}" for path in sections_of(root)}
    assert options_in(typed.words) <= known | {"--auto-remedy"}


@pytest.mark.parametrize("typed", [typed for typed in TRAINING if "--help" in typed.words], ids=str)
def test_topics_of_help_exist(typed: Typed) -> None:
    following = typed.words[typed.words.index("--help") + 1 :]
    for topic in set(following) - {"SECTION"}:
        assert help_page(ROOTS[typed.words[1]], topic)


@pytest.mark.parametrize("typed", RESUMING, ids=str)
def test_options_of_resuming_may_change(typed: Typed) -> None:
    changeable = itertools.chain.from_iterable(map(changeable_options, ROOTS.values()))
    assert options_in(typed.words) <= {option.flag for option in changeable}


@pytest.mark.parametrize("typed", [typed for typed in TRAINING if typed.is_whole], ids=str)
def test_values_of_training_are_allowed(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(typed.page.parent)
    root, arguments = ROOTS[typed.words[1]], list(typed.words[2:])
    if "--help" in arguments:
        return
    if not {"--data", "--codes.data"} & options_in(typed.words):
        arguments += ["--data", "photos"]
    kept = [word for word in arguments if word not in ("--dry-run", "--auto-remedy")]
    assert isinstance(read_config(root, kept), BaseRunConfig)


def test_dotted_options_in_sentences_exist() -> None:
    paths = itertools.chain.from_iterable(map(options_of, ROOTS.values()))
    known = {hyphened(path) for path in paths}
    known |= {path.partition(".")[2] for path in known}  # a page may leave the section out
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"`(?:--)?((?:[\w-]+\.)+[\w-]+)[ `]", text):
            if name.partition(".")[0] in SECTIONS and not name.endswith((".py", ".yaml")):
                assert name in known, f"{page.name} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_files_that_a_page_names_exist(page: Path) -> None:
    """Paths start at the page, the project, the package or the tests; a bare name lies anywhere."""
    text = page.read_text(encoding="utf-8")
    bases = (page.parent, PROJECT, PACKAGE, TESTS)
    for name in re.findall(r"(?<![\w/.-])(?:[\w-]+/)*[\w-]+\.(?:py|toml|md)\b", text):
        anywhere = any(path.name == name for path in PYTHON)
        assert any((base / name).is_file() for base in bases) or anywhere, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", text):
        target = page.parent / name if name else page
        assert target.exists(), name
        if anchor:
            headings = re.findall(r"(?m)^#+ (.+)", target.read_text(encoding="utf-8"))
            slugs = {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in headings}
            assert anchor in slugs, f"{name}#{anchor}"


def test_architecture_names_all_folders() -> None:
    text = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_/]+)/`", text))
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__"} <= named
    assert [name for name in sorted(named) if not (PACKAGE / name).is_dir()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_pictures_that_a_page_shows_exist(page: Path) -> None:
    assert [one for one in pictures(page) if not one.is_file()] == []


def test_pictures_of_the_docs_are_shown_and_small() -> None:
    taken = {path.resolve() for path in (PROJECT / "docs" / "pictures").glob("*.png")}
    assert taken <= set().union(*map(pictures, PAGES))
    assert max(path.stat().st_size for path in taken) < 300_000

"""The documentation as a site: each page has its place, and the reference names all."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

pytest.importorskip("sphinx")

DOCS = Path(__file__).resolve().parents[2] / "docs"
sys.path.insert(0, str(DOCS))

import reference_pages  # noqa: E402

from smalti.cli.main import COMMANDS  # noqa: E402
from smalti.cli.options import options_of  # noqa: E402
from smalti.cli.presets import presets  # noqa: E402
from smalti.runs.config import ROOTS  # noqa: E402


def page(name: str) -> str:
    """The text of a page of the reference, filled from the code."""
    return reference_pages.filled((DOCS / "reference" / f"{name}.md").read_text(encoding="utf-8"))


def test_each_page_has_a_place_in_the_tree():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    trees = re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)
    entries = [line for tree in trees for line in tree.split() if not line.startswith(":")]
    names = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    assert {
        name for name in names - {"index"} if not any(fnmatch(name, e) for e in entries)
    } == set()


@pytest.mark.parametrize("stage", ROOTS)
def test_reference_explains_each_option_of_training(stage):
    text = page(f"options_{stage}")
    options = [option for option in options_of(ROOTS[stage]).values() if not option.is_fixed]
    assert [one.flag for one in options if f"`{one.flag}`\n: *" not in text] == []


def test_reference_of_an_option_has_default_range_and_meaning():
    entry = page("options_vqgan").partition("`--held-out`\n: *")[2].partition("\n\n`--")[0]
    assert entry.startswith("default 0.05; from 0 to below 1*")
    assert "Share of the images held out for evaluation." in entry


def test_reference_has_each_command_by_its_parser():
    text = page("commands")
    assert re.findall(r"(?m)^## smalti (.+)$", text) == list(COMMANDS)
    assert ":module: smalti.cli.import_model\n:func: parser\n:prog: smalti import" in text
    assert "usage: smalti resume RUN" in text


def test_reference_has_each_preset():
    text = page("presets")
    assert [path.stem for path in presets() if f"| `{path.stem}` |" not in text] == []


@pytest.mark.parametrize("kind", ["fsq", "gpt2", "class", "spiral_out", "inception", "orderings"])
def test_reference_has_kinds_of_each_registry(kind):
    assert re.search(rf"(?m)^\| `{kind}` \| \w.* \|$", page("kinds"))


def test_text_of_the_code_is_no_markdown():
    assert reference_pages.escaped("a <b> [1,2] `x_y*` *") == r"a \<b\> \[1,2\] `x_y*` \*"


def test_references_of_docstrings_become_one_paragraph():
    lines = ["Text |x|.", "Reference: arXiv, Sec. 3,", "    the end.", "More."]
    assert reference_pages.restructured(lines) == [
        r"Text \|x\|.",
        "",
        "Reference: arXiv, Sec. 3,",
        "the end.",
        "More.",
    ]


@pytest.mark.slow
def test_site_is_built_without_a_warning_and_fetches_nothing(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-E", "-q", "-W", "--keep-going", DOCS, tmp_path]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    loads = r"<(?:script|img|iframe|source|link)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//"
    styles = r"@import|url\([\"']?(?:https?:)?//"
    for file in tmp_path.rglob("*.html"):
        assert re.findall(loads, file.read_text(encoding="utf-8")) == [], file
    for file in tmp_path.rglob("*.css"):
        assert re.findall(styles, file.read_text(encoding="utf-8")) == [], file

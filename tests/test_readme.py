"""Python lines of README and docs run as they stand, beside what `smalti demo` leaves behind."""

import ast
import importlib
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from smalti.cli import encode
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN

PROJECT = Path(__file__).resolve().parents[1]
README = PROJECT / "README.md"


def blocks(page: Path) -> str:
    """All Python blocks of a page, one after the other."""
    text = page.read_text(encoding="utf-8")
    return "".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))


PAGES = [page for top in ("docs", "examples") for page in sorted((PROJECT / top).rglob("*.md"))]
PAGES = [page for page in PAGES if blocks(page)]
TUTORIALS = [page for page in PAGES if page.parent.name == "tutorials"]


@pytest.fixture
def demo_folder(tmp_path: Path) -> Path:
    """Folders as of `smalti demo`, with tiny models that learned nothing."""
    torch.manual_seed(0)
    vqgan = VQGAN(VQGANConfig(channel_multipliers=(1, 1, 1, 1), codebook_size=16, code_dim=8))
    config = PriorModelConfig(
        codebook_size=16,
        prior=GPT2Config(layers=1, heads=1, width=8, dropout=0),
        vocab_size=17,
        max_length=16,
        grid_height=4,
        grid_width=4,
    )
    photographs = tmp_path / "demo" / "photographs"
    photographs.mkdir(parents=True)
    Image.new("RGB", (451, 300), "orange").save(photographs / "chelsea.png")
    vqgan.save_pretrained(tmp_path / "demo" / "vqgan")
    Pipeline(vqgan, GPT(config.prior, config.sizes), config).save_pretrained(
        tmp_path / "demo" / "prior"
    )
    return tmp_path


def test_the_python_lines_run(
    demo_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(demo_folder)
    exec(compile(blocks(README), str(README), "exec"), {})
    with Image.open("chelsea.png") as reconstruction:
        assert reconstruction.size == (256, 256)
    assert len(list(demo_folder.glob("new_*.png"))) == 4
    with Image.open("streamed.png") as streamed, Image.open("new_0.png") as new:
        assert streamed.tobytes() == new.tobytes()
    told = capsys.readouterr().out
    assert all(f"row {cell // 4}, column {cell % 4}: code" in told for cell in range(16))


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_the_python_lines_of_a_tutorial_run(
    page: Path, demo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(demo_folder)
    if "demo/codes" in page.read_text(encoding="utf-8"):
        data = ["--data", "demo/photographs", "--size", "64", "--out", "demo/codes"]
        encode.run(["demo/vqgan", *data])
    before = set(demo_folder.iterdir())
    exec(compile(blocks(page), str(page), "exec"), {})
    assert set(demo_folder.iterdir()) > before


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(PROJECT).as_posix())
def test_what_python_lines_import_exists(page: Path) -> None:
    for statement in ast.walk(ast.parse(blocks(page), str(page))):
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("smalti"):
            module = importlib.import_module(statement.module or "")
            assert [one.name for one in statement.names if not hasattr(module, one.name)] == []


def test_tutorials_have_python_lines() -> None:
    assert len(TUTORIALS) >= 3

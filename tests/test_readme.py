"""The README's Python lines run as they stand, beside what `smalti demo` leaves behind."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN

README = Path(__file__).resolve().parents[1] / "README.md"


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
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(demo_folder)
    exec(compile("".join(blocks), str(README), "exec"), {})
    with Image.open("chelsea.png") as reconstruction:
        assert reconstruction.size == (256, 256)
    assert len(list(demo_folder.glob("new_*.png"))) == 4
    with Image.open("streamed.png") as streamed, Image.open("new_0.png") as new:
        assert streamed.tobytes() == new.tobytes()
    told = capsys.readouterr().out
    assert all(f"row {cell // 4}, column {cell % 4}: code" in told for cell in range(16))

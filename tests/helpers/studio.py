"""A tiny run for the studio, and what reads the answers of its server."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image

from smalti.conditions import ConditionConfig
from smalti.conditions.grid import SpatialConfig
from smalti.conditions.maps import SegmentationConfig
from smalti.conditions.none import UnconditionalConfig
from smalti.content import LabelsContent
from smalti.data.config import TransformConfig
from smalti.prior.build import build_prior
from smalti.prior.config import PriorConfig
from smalti.prior.gpt.config import GPT2Config
from smalti.runs.config import VQGANRunConfig
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN

TOKEN = "0123456789abcdefTOKEN"
ORIGIN = "http://127.0.0.1:8765"
TINY = VQGANConfig(channel_multipliers=(1, 1), channels=8, codebook_size=16, code_dim=4)
SHAPE = GPT2Config(layers=1, heads=1, width=8, dropout=0)
SPATIAL = {"codebook_size": 16, "grid_height": 4, "grid_width": 4}
MAPS = SegmentationConfig(content=LabelsContent(classes=6), **SPATIAL)
"""A condition of `make_prior`."""
LINES = [
    {"step": 0, "group": "images", "training": 19, "held_out": 5},
    {"step": 10, "group": "train", "reconstruction_loss": 0.5, "seconds": 9.0},
    {"step": 20, "group": "eval", "reconstruction_loss": 0.25, "psnr_db": 21.5},
]


def write_lines(folder: Path, lines: list[dict[str, object]], mode: str = "a") -> None:
    with (folder / "metrics.jsonl").open(mode, encoding="utf-8") as metrics:
        metrics.writelines(json.dumps(line) + "\n" for line in lines)


def make_run(folder: Path, photos: Path, **options: object) -> Path:
    """A run of stage 1 as training leaves it."""
    config = VQGANRunConfig(
        data=(str(photos),), out=str(folder), image=TransformConfig(size=16), vqgan=TINY, **options
    )
    (folder / "samples").mkdir(parents=True)
    text = yaml.safe_dump(config.model_dump(mode="json"))
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    write_lines(folder, LINES)
    Image.new("RGB", (8, 8), "teal").save(folder / "samples" / "reconstructions_00000020.png")
    torch.manual_seed(0)
    VQGAN(TINY).save_pretrained(folder / "checkpoints" / "best")
    return folder


def make_prior(
    folder: Path,
    condition: ConditionConfig | None = None,
    shape: PriorConfig = SHAPE,
    side: int = 4,
) -> Path:
    """A prior that learned nothing, of a window of `side` times `side` codes of 2x2 pixels."""
    config = PriorModelConfig(
        prior=shape,
        vocab_size=64,
        max_length=40,
        codebook_size=16,
        conditioners=(condition or UnconditionalConfig(),),
        condition_drop=0.1,
        grid_height=side,
        grid_width=side,
    )
    torch.manual_seed(0)
    tokenizers = {
        one.kind: VQGAN(TINY.model_copy(update={"content": one.content})).eval()
        for one in config.conditioners
        if isinstance(one, SpatialConfig)
    }
    prior = build_prior(config.prior, config.sizes)
    for weight in prior.parameters():
        torch.nn.init.normal_(weight)
    Pipeline(VQGAN(TINY).eval(), prior, config, tokenizers).save_pretrained(folder)
    return folder


def events(text: str) -> list[tuple[str, Any]]:
    """The events of a stream, by their names and data."""
    found = []
    for one in text.strip().split("\n\n"):
        event, data = one.split("\n")
        found.append((event.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def result(response: Any) -> Any:
    """What a job that must succeed returned."""
    assert response.status_code == 200, response.text
    event, data = events(response.text)[-1]
    assert event == "done", data
    return data


def failure(response: Any) -> str:
    """What a job that must fail told."""
    assert response.status_code == 200, response.text
    event, data = events(response.text)[-1]
    assert event == "failed", data
    return data["message"]


def picture(address: str) -> Image.Image:
    """The picture that an address holds."""
    _, _, content = address.partition("base64,")
    return Image.open(io.BytesIO(base64.b64decode(content)))

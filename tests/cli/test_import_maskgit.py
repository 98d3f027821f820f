"""MaskGIT's VQGAN, imported by the command, serves the other commands as any tokenizer does."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from smalti.interop.maskgit_vqgan import maskgit_name
from smalti.tokenizer.config import MaskGITVQGANConfig
from smalti.tokenizer.load import load_tokenizer
from smalti.tokenizer.maskgit import MaskGITVQGAN

TINY = MaskGITVQGANConfig(
    channels=32, channel_multipliers=(1, 1), residual_blocks=1, code_dim=4, codebook_size=16
)


@pytest.fixture
def model(here, succeed) -> Path:
    torch.manual_seed(0)
    weights = MaskGITVQGAN(TINY).state_dict()
    save_file({maskgit_name(name, 2): w for name, w in weights.items()}, "maskgit.safetensors")
    out = succeed("import", "maskgit.safetensors", "--out", "model").out
    assert "f = 2, K = 16, D = 4" in out
    assert f"tensors: {len(weights)} used, none missing" in out
    assert "smalti train prior --data PHOTOS --vqgan model --out RUN" in out
    return here / "model"


def test_commands_of_a_tokenizer(model, succeed, world):
    succeed("reconstruct", model, world.picture, "--out", "reconstruction.png")
    succeed("encode", model, world.picture, "--out", "codes.safetensors")
    succeed("decode", model, "codes.safetensors", "--out", "decoded")
    succeed("evaluate", model, "--data", world.photos, "--size", 16, "--out", "scores.json")
    assert json.loads(Path("scores.json").read_text(encoding="utf-8"))
    assert "kind:         VQGAN of MaskGIT, f = 2, K = 16" in succeed("inspect", model).out


def test_prior_of_its_codes(model, succeed, world):
    data = ("--data", world.photos, "--image.size", 16)
    succeed("train", "prior", "--vqgan", model, *data, "--out", "run", *world.tiny_prior)
    assert isinstance(load_tokenizer("run/tokenizer"), MaskGITVQGAN)
    succeed("sample", "run", "-n", 1, "--out", "samples")
    assert list(Path("samples").glob("*.png"))


def test_it_is_neither_trained_nor_exported(model, call, world):
    train = call("train", "vqgan", "--data", world.photos, "--init", model, "--out", "run")
    export = call("export", model, "--out", "exported")
    for result in (train, export):
        assert result.code == 2
        assert result.error_lines == [
            f"smalti: {model} holds a maskgit, but a vqgan is needed here"
        ]
    assert not Path("run").exists()

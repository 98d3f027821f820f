"""`smalti import` and `smalti export`: what they write, and what they refuse."""

import os
import sys
import types
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from smalti.interop.taming_config import released_config
from smalti.interop.taming_vqgan import released_name
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.config import FSQConfig, VectorQuantizerConfig
from smalti.tokenizer.vqgan import VQGAN

TINY = VQGANConfig(
    channels=32,
    channel_multipliers=(1, 1),
    norm_groups=32,
    code_dim=4,
    codebook_size=16,
    quantizer=VectorQuantizerConfig(),
)


@pytest.fixture
def vqgan():
    torch.manual_seed(0)
    return VQGAN(TINY).eval()


@pytest.fixture
def released(vqgan):
    """State dict of a tiny VQGAN under the released names."""
    return {released_name(name, 2): tensor for name, tensor in vqgan.state_dict().items()}


@pytest.fixture
def refused(call, contents, here):
    """Runs a command that must be refused with a line that has all the words."""

    def run(*arguments, words):
        before = contents(here)
        result = call(*arguments)
        assert result.code == 2, result.err
        assert len(result.error_lines) == 1, result.err
        for word in words:
            assert word in result.err
        assert contents(here) == before

    return run


def assert_same_model(folder: Path, vqgan: VQGAN) -> None:
    found = VQGAN.from_pretrained(folder)
    assert found.config == vqgan.config
    expected = vqgan.state_dict()
    assert all(torch.equal(weight, expected[name]) for name, weight in found.state_dict().items())


def test_import_reports_what_became_of_every_tensor(here, succeed, vqgan, released):
    released |= {f"loss.logvar.{number}": torch.zeros(1) for number in range(3)}
    save_file(released, here / "model.safetensors")
    out = succeed("import", "model.safetensors", "--out", "model").out
    count = sum(parameter.numel() for parameter in vqgan.parameters())
    assert f"f = 2, K = 16, D = 4, {count:,} parameters; quantizer vector (the nearest" in out
    assert "shape from the tensors' shapes" in out
    assert f"tensors: {len(vqgan.state_dict())} used, none missing; passed over: loss (3)" in out
    assert "smalti train vqgan --data PHOTOS --init model" in out
    assert_same_model(here / "model", vqgan)


@pytest.mark.parametrize("new_format", [True, False])
def test_import_of_a_training_checkpoint(here, succeed, oracle_tensors, monkeypatch, new_format):
    """The oracle's VQModel, saved as the released ones are: beside objects of other packages."""
    oracle = oracle_tensors("vqmodel_tiny")
    module = types.ModuleType("foreign_framework")
    exec("class Node(dict):\n    pass", module.__dict__)
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "foreign_framework", module)
        content = {
            "state_dict": {k.removeprefix("sd."): t for k, t in oracle.items() if k[:3] == "sd."},
            "callbacks": {module.Node: module.Node(best=1)},
            "hyper_parameters": module.Node(base=module.Node(lr=[4.5e-6])),
        }
        torch.save(content, here / "last.ckpt", _use_new_zipfile_serialization=new_format)
    succeed("import", "last.ckpt", "--out", "model")
    codes = VQGAN.from_pretrained(here / "model").encode(oracle["in.x"])
    assert torch.equal(codes.flatten(), oracle["out.indices"])


def test_exported_folder_is_imported_again(here, succeed, vqgan):
    vqgan.save_pretrained("ours")
    for form, imported in (("diffusers", "out"), ("taming", "out/vqgan.safetensors")):
        succeed("export", "ours", "--out", f"{form}/out", "--format", form)
        succeed("import", f"{form}/{imported}", "--out", f"{form}/back")
        assert_same_model(here / form / "back", vqgan)


def test_tokenizer_exported_for_janus_is_imported_again(here, succeed):
    torch.manual_seed(0)
    by_direction = VectorQuantizerConfig(l2_normalised=True)
    ours = VQGAN(TINY.model_copy(update={"quantizer": by_direction})).eval()
    ours.save_pretrained("ours")
    succeed("export", "ours", "--out", "out", "--format", "janus")
    out = succeed("import", "out/model.safetensors", "--out", "back").out
    assert "quantizer vector (the nearest entry by direction)" in out
    back = VQGAN.from_pretrained("back")
    assert back.config == ours.config
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    assert torch.equal(ours.encode(picture), back.encode(picture))


def test_config_that_came_with_a_checkpoint_is_compared(here, refused, succeed, released):
    save_file(released, here / "model.safetensors")
    content = released_config(TINY)
    Path("model.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    command = ("import", "model.safetensors", "--config", "model.yaml", "--out")
    succeed(*command, "agreed")
    content["model"]["params"]["n_embed"] = 1024
    Path("model.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    refused(*command, "out", words=["model.yaml says n_embed 1024", "the tensors have 16"])
    refused(*command[:3], "none.yaml", "--out", "out", words=["none.yaml does not exist"])


def test_malicious_checkpoint_does_nothing(here, succeed, vqgan, released):
    class Payload:
        def __reduce__(self):
            return os.system, ("touch marker",)

    torch.save({"callbacks": [Payload()], "state_dict": released}, here / "evil.ckpt")
    succeed("import", "evil.ckpt", "--out", "model")
    assert_same_model(here / "model", vqgan)
    assert not Path("marker").exists()


def test_what_is_not_a_tokenizer_is_refused(here, refused, world):
    Path("letter.ckpt").write_text("Dear reader", encoding="utf-8")
    torch.save({"transformer.tok_emb.weight": torch.zeros(2, 2)}, "gpt.ckpt")
    torch.save({"state_dict": {"model.diffusion_model.a": torch.zeros(1)}}, "unet.ckpt")
    for file, words in {
        "letter.ckpt": ["letter.ckpt is not a checkpoint"],
        str(world.picture): ["1.png is not a checkpoint"],
        "gpt.ckpt": ["gpt.ckpt: it is a transformer without its tokenizer"],
        "unet.ckpt": ["unet.ckpt: it is no VQGAN", "model.diffusion_model.a"],
        "none.ckpt": ["none.ckpt does not exist"],
        str(world.photos): ["photos: it has no config.json"],
    }.items():
        refused("import", file, "--out", "out", words=words)


def test_hole_is_refused(here, refused, released):
    del released["decoder.up.0.block.1.conv2.bias"]
    save_file(released, here / "model.safetensors")
    words = ["model.safetensors: not a whole VQGAN: decoder.up.0.block.1.conv2.bias is missing"]
    refused("import", "model.safetensors", "--out", "out", words=words)


@pytest.mark.parametrize("command", ["import", "export"])
def test_folder_with_other_files_is_not_replaced(here, refused, vqgan, command):
    vqgan.save_pretrained("ours")
    Path("mine").mkdir()
    Path("mine/letter.txt").write_text("keep me", encoding="utf-8")
    refused(command, "ours", "--out", "mine", words=["--out mine is not empty"])
    refused(command, "ours", "--out", "mine/letter.txt", words=["is a file, not a folder"])


def test_trained_model_is_exported(here, succeed, world):
    """With the default quantizer, whose projections its 1x1 convolutions take in."""
    assert VQGAN.from_pretrained(world.vqgan).config.quantizer == VQGANConfig().quantizer
    succeed("export", world.vqgan, "--out", "out")
    succeed("import", "out", "--out", "back")
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    ours, back = (VQGAN.from_pretrained(folder) for folder in (world.vqgan, "back"))
    assert torch.equal(ours.encode(picture), back.encode(picture))


def test_model_that_a_format_cannot_express_is_refused(here, refused, vqgan):
    VQGAN(TINY.model_copy(update={"quantizer": FSQConfig(levels=(4, 4))})).save_pretrained("ours")
    words = [
        "ours cannot be exported: its quantizer is fsq",
        "exported are vector, ema, simvq, lfq and ibq",
    ]
    refused("export", "ours", "--out", "out", words=words)


def test_lookup_that_llamagen_has_not_is_refused(here, refused, vqgan):
    vqgan.save_pretrained("ours")
    words = ["ours cannot be exported: its quantizer.l2_normalised is false; llamagen compares"]
    refused("export", "ours", "--out", "out", "--format", "llamagen", words=words)


def test_unknown_format_is_refused(refused, world):
    words = ["unknown format 'onnx'", "diffusers, janus, llamagen, taming"]
    refused("export", world.vqgan, "--out", "out", "--format", "onnx", words=words)


def test_imported_model_is_trained_on(here, succeed, world, vqgan):
    vqgan.save_pretrained("model")
    tiny = [option for option in world.tiny if not option.startswith("--vqgan.")]
    succeed("train", "vqgan", "--data", world.photos, "--init", "model", "--out", "run", *tiny)
    assert VQGAN.from_pretrained("run").config == TINY

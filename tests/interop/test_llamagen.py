"""Tokenizers of LlamaGen, and those exported for it and Janus, give the same codes and images."""

import json
from argparse import Namespace
from typing import TypeVar

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from smalti.config import InputError
from smalti.interop.llamagen import export_janus, export_llamagen
from smalti.interop.tokenizers import import_model
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.quantizers.config import LFQConfig, VectorQuantizerConfig
from smalti.tokenizer.vqgan import VQGAN

SHAPE = VQGANConfig(
    channels=128,
    channel_multipliers=(1, 1),
    residual_blocks=2,
    norm_groups=32,
    code_dim=8,
    latent_channels=32,
    codebook_size=48,
    quantizer=VectorQuantizerConfig(l2_normalised=True),
)
SMALL = SHAPE.model_copy(
    update={"channels": 32, "channel_multipliers": (1, 1, 2), "residual_blocks": 1}
)
LLAMAGEN_TO_TRANSFORMERS = {
    "encoder.conv_blocks.": "encoder.down.",
    "decoder.conv_blocks.": "decoder.up.",
    ".res.": ".block.",
    ".mid.0.": ".mid.block_1.",
    ".mid.1.": ".mid.attn_1.",
    ".mid.2.": ".mid.block_2.",
}
EXPORTS = {"llamagen": export_llamagen, "janus": export_janus}


AnyModule = TypeVar("AnyModule", bound=nn.Module)


@torch.no_grad()
def lively(model: AnyModule) -> AnyModule:
    """Every weight away from its start value, so that a swapped or forgotten one shows."""
    torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture(scope="module")
def transformers():
    return pytest.importorskip("transformers", reason="the extra `annotate` is not installed")


@torch.no_grad()
def assert_same(vqgan: VQGAN, theirs: nn.Module) -> None:
    """Codes by direction, as Janus itself has them, and images are the same."""
    f, side = vqgan.downsampling_factor, theirs.quantize.quant_state_dims[0]
    generator = torch.Generator().manual_seed(1)
    images = 2 * torch.rand(1, 3, f * side, f * side, generator=generator) - 1
    z = F.normalize(theirs.quant_conv(theirs.encoder(images)), dim=1)
    entries = F.normalize(theirs.quantize.embedding.weight, dim=1)
    codes = torch.einsum("bdhw,nd->bnhw", z, entries).argmax(1)
    assert len(codes.unique()) > 3
    assert torch.equal(vqgan.encode(images), codes)
    assert torch.equal(theirs.encode(images).image_tokens, codes.flatten())
    decoded = theirs.decode(codes.flatten(1)).clamp(-1, 1)
    torch.testing.assert_close(vqgan.decode(codes), decoded, rtol=1e-4, atol=1e-4)


def with_side(theirs: nn.Module, side: int) -> nn.Module:
    """The model for images of `side` codes, for speed."""
    theirs.quantize.quant_state_dims = [side, side]
    return theirs.eval()


@pytest.mark.parametrize("lookup_dim", [None, 4])
def test_transformers_loads_what_is_exported_as_janus(transformers, tmp_path, lookup_dim):
    quantizer = VectorQuantizerConfig(l2_normalised=True, lookup_dim=lookup_dim)
    vqgan = lively(VQGAN(SMALL.model_copy(update={"quantizer": quantizer})))
    export_janus(vqgan, tmp_path / "out")
    theirs, report = transformers.JanusVQVAE.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not any(report.values())
    assert theirs.quantize.quant_state_dims == [96, 96]
    assert_same(vqgan, with_side(theirs, 6))


def test_network_of_llamagen(transformers, tmp_path):
    """Renamed as transformers renames Janus' tensors, which are LlamaGen's."""
    vqgan = lively(VQGAN(SHAPE))
    export_llamagen(vqgan, tmp_path / "out")
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(tensors.pop("quantize.codebook_used"), torch.zeros(65_536))
    theirs = transformers.JanusVQVAE(
        transformers.JanusVQVAEConfig(
            channel_multiplier=[1, 1], latent_channels=32, num_embeddings=48
        )
    )
    theirs.load_state_dict({_in_transformers(name): tensor for name, tensor in tensors.items()})
    assert_same(vqgan, with_side(theirs, 8))


def _in_transformers(name: str) -> str:
    for llamagen, new in LLAMAGEN_TO_TRANSFORMERS.items():
        name = name.replace(llamagen, new)
    return name


def _in_llamagen(name: str) -> str:
    for llamagen, new in LLAMAGEN_TO_TRANSFORMERS.items():
        name = name.replace(new, llamagen)
    return name


@pytest.mark.parametrize(
    ("multipliers", "factor"), [([1, 1, 2, 2, 4], 16), ([1, 2, 2, 4], 8)], ids=["VQ-16", "VQ-8"]
)
@pytest.mark.parametrize("choice", ["ema", "raw"])
@torch.no_grad()
def test_checkpoint_of_llamagen(transformers, tmp_path, multipliers, factor, choice):
    """As its training writes it, but for the width; the other weights are zeros."""
    shape = {"base_channels": 32, "latent_channels": 32, "channel_multiplier": multipliers}
    theirs = lively(transformers.JanusVQVAE(transformers.JanusVQVAEConfig(**shape)))
    entries = theirs.quantize.embedding.weight
    entries.copy_(F.normalize(entries, dim=1))
    wanted = {_in_llamagen(name): tensor for name, tensor in theirs.state_dict().items()}
    wanted["quantize.codebook_used"] = torch.zeros(65_536)
    others = {name: torch.zeros_like(tensor) for name, tensor in wanted.items()}
    names = ("ema", "model") if choice == "ema" else ("model", "ema")
    content = dict(zip(names, (wanted, others), strict=True))
    torch.save(content | {"optimizer": {}, "steps": 9, "args": Namespace(ema=True)}, tmp_path / "a")
    imported = import_model(tmp_path / "a", choice=choice)
    assert imported.taken == (f"under {names[0]} (also there: {names[1]})",)
    vqgan = imported.vqgan
    assert (vqgan.codebook_size, vqgan.config.code_dim) == (16_384, 8)
    assert vqgan.downsampling_factor == factor
    assert_same(vqgan, with_side(theirs, 4))


def test_arguments_of_llamagen(tmp_path):
    export_llamagen(VQGAN(SHAPE), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8")) == {
        "codebook_size": 48,
        "codebook_embed_dim": 8,
        "codebook_l2_norm": True,
        "encoder_ch_mult": [1, 1],
        "decoder_ch_mult": [1, 1],
        "z_channels": 32,
    }


@pytest.mark.parametrize("form", EXPORTS)
def test_exported_weights_are_imported_again(tmp_path, form):
    vqgan = lively(VQGAN(SHAPE))
    EXPORTS[form](vqgan, tmp_path / "out")
    imported = import_model(tmp_path / "out" / "model.safetensors").vqgan
    assert imported.config == vqgan.config
    expected: dict[str, Tensor] = vqgan.state_dict()
    expected["quantizer.codebook.weight"] = F.normalize(expected["quantizer.codebook.weight"])
    found = imported.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("form", EXPORTS)
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quantizer": VectorQuantizerConfig()}, "l2_normalised is false; {form} compares dir"),
        (
            {"quantizer": LFQConfig(), "codebook_size": 64},
            "its quantizer is lfq, which compares no directions, as {form} does always",
        ),
        ({"norm_groups": 8}, "norm_groups is 8; {form} has 32 always"),
        ({"middle_attention": False}, "middle_attention is false; {form} has it always"),
        ({"unit_range": True}, r"unit_range is true; {form} has pixels in \[-1, 1\]"),
        ({"attention_levels": (0, 1)}, r"attention_levels is \[0, 1\]; {form} has attention at"),
    ],
)
def test_what_they_cannot_express_is_named(tmp_path, form, changes, words):
    with pytest.raises(InputError, match=words.format(form=form)):
        EXPORTS[form](VQGAN(SMALL.model_copy(update=changes)), tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": 32}, "channels is 32; llamagen has 128 always"),
        ({"residual_blocks": 1}, "residual_blocks is 1; llamagen has 2 always"),
    ],
)
def test_widths_that_llamagen_has_not_are_named(tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        export_llamagen(VQGAN(SHAPE.model_copy(update=changes)), tmp_path / "out")
    assert not list(tmp_path.iterdir())

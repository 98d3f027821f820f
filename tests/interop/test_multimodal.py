"""Tokenizers within multimodal models: Janus and Chameleon, also as transformers names them."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from smalti.config import InputError
from smalti.interop.tokenizers import import_model
from smalti.tokenizer.quantizers.config import VectorQuantizerConfig
from smalti.tokenizer.vqgan import VQGAN

CODES, CODE_DIM, LATENT_CHANNELS = 24, 8, 16
INDEX = "model.safetensors.index.json"
# The shape of `Network` in conftest.py, in the words of transformers.
SHAPE = {
    "base_channels": 32,
    "channel_multiplier": [1, 1, 2],
    "num_res_blocks": 1,
    "latent_channels": LATENT_CHANNELS,
    "embed_dim": CODE_DIM,
    "num_embeddings": CODES,
}


@pytest.fixture
def images() -> Tensor:
    return 2 * torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) - 1


@pytest.fixture
def entries() -> Tensor:
    """Entries of different lengths, so that it matters how they are compared."""
    generator = torch.Generator().manual_seed(2)
    lengths = 0.5 + torch.rand(CODES, 1, generator=generator)
    return torch.randn(CODES, CODE_DIM, generator=generator) * lengths


def save_shards(folder: Path, tensors: dict[str, Tensor]) -> Path:
    """Write tensors as two shards and their index, as transformers does."""
    names = sorted(tensors)
    weight_map = {}
    for number in (1, 2):
        file = f"model-0000{number}-of-00002.safetensors"
        part = {name: tensors[name].contiguous() for name in names[number - 1 :: 2]}
        save_file(part, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    return folder / INDEX


def by_direction(z: Tensor, entries: Tensor) -> Tensor:
    """Codes (B, h, w) of the entries nearest to z (B, D, h, w), all of length one."""
    unit = F.normalize(entries, dim=1)
    return torch.einsum("bdhw,nd->bnhw", F.normalize(z, dim=1), unit).argmax(1)


def assert_images(vqgan: VQGAN, codes: Tensor, expected: Tensor) -> None:
    assert len(codes.unique()) > 3
    torch.testing.assert_close(vqgan.decode(codes), expected.clamp(-1, 1), rtol=1e-4, atol=1e-4)


def test_janus_in_shards(llamagen_network, images, entries, tmp_path):
    """Names as DeepSeek released them, half the numbers, with the language model beside."""
    own = llamagen_network.tensors | {
        "quantize.embedding.weight": entries,
        "quantize.codebook_used": torch.zeros(64),
    }
    tensors = {f"gen_vision_model.{name}": tensor for name, tensor in own.items()}
    tensors |= {
        "language_model.model.embed_tokens.weight": torch.zeros(4, 2),
        "vision_model.vision_tower.blocks.0.norm1.weight": torch.zeros(2),
        "gen_head.vision_head.weight": torch.zeros(CODES, 2),
    }
    imported = import_model(save_shards(tmp_path, tensors))
    assert imported.vqgan.config.quantizer == VectorQuantizerConfig(l2_normalised=True)
    assert imported.taken == ("names without gen_vision_model.",)
    assert imported.used == len(own) - 1
    assert imported.passed_over == {
        "quantize": 1,
        "language_model": 1,
        "vision_model": 1,
        "gen_head": 1,
    }
    codes = by_direction(llamagen_network.encode(images), entries)
    assert torch.equal(imported.vqgan.encode(images), codes)
    z_q = F.normalize(entries, dim=1)[codes].movedim(3, 1)
    assert_images(imported.vqgan, codes, llamagen_network.decode(z_q))


def their_package():
    return pytest.importorskip("transformers", reason="the extra `annotate` is not installed")


@torch.no_grad()
def their_janus() -> nn.Module:
    """Every weight away from its start value, so that a swapped or forgotten one shows."""
    transformers = their_package()
    torch.manual_seed(0)
    model = transformers.JanusVQVAE(transformers.JanusVQVAEConfig(**SHAPE, num_patches=8))
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@torch.no_grad()
def test_janus_of_transformers(images, entries, tmp_path):
    """Its decoder's levels are numbered as they run, unlike those of Chameleon."""
    theirs = their_janus()
    theirs.quantize.embedding.weight.copy_(entries)
    tensors = {f"model.vqmodel.{name}": tensor for name, tensor in theirs.state_dict().items()}
    tensors |= {"model.vision_model.post_layernorm.weight": torch.zeros(2)}
    imported = import_model(save_shards(tmp_path, tensors))
    assert imported.taken == ("names without model.vqmodel.",)
    assert imported.used == len(theirs.state_dict())
    z = theirs.quant_conv(theirs.encoder(images))
    torch.testing.assert_close(imported.vqgan.latent(images), z, rtol=1e-4, atol=1e-4)
    codes = by_direction(z, entries)
    assert torch.equal(imported.vqgan.encode(images), codes)
    assert_images(imported.vqgan, codes, theirs.decode(codes.flatten(1)))


@torch.no_grad()
def test_codes_of_transformers_own_janus_if_entries_have_length_one(images, entries, tmp_path):
    """It compares latents that are not scaled; then only the entries' lengths make a difference."""
    theirs = their_janus()
    theirs.quantize.embedding.weight.copy_(F.normalize(entries, dim=1))
    theirs.save_pretrained(tmp_path)
    vqgan = import_model(tmp_path / "model.safetensors").vqgan
    expected = theirs.encode(images).image_tokens
    assert torch.equal(vqgan.encode(images).flatten(), expected)


def chameleon(network, entries: Tensor) -> dict[str, Tensor]:
    """Tensors of a whole Chameleon tokenizer, as within a larger model of transformers."""
    own = network.tensors | {"quantize.embedding.weight": entries}
    tensors = {f"model.vqmodel.{name}": tensor for name, tensor in own.items()}
    return tensors | {"model.embed_tokens.weight": torch.zeros(4, 2)}


@torch.no_grad()
def test_chameleon_of_transformers(taming_network, images, entries, tmp_path):
    """With a decoder: that of the original, which forks of transformers name in the same way."""
    transformers = their_package()
    tensors = chameleon(taming_network, entries)
    imported = import_model(save_shards(tmp_path, tensors))
    assert imported.vqgan.config.quantizer == VectorQuantizerConfig()
    assert imported.taken == ("names without model.vqmodel.",)
    assert imported.passed_over == {"model": 1}
    config = transformers.ChameleonVQVAEConfig(**SHAPE, resolution=32, attn_resolutions=[8])
    theirs = transformers.ChameleonVQVAE(config).eval()
    own = {name: tensors[f"model.vqmodel.{name}"] for name in theirs.state_dict()}
    theirs.load_state_dict(own)
    codes = theirs.encode(images).image_tokens.view(2, 8, 8)
    assert torch.equal(imported.vqgan.encode(images), codes)
    assert_images(imported.vqgan, codes, taming_network.decode(entries[codes].movedim(3, 1)))


def test_chameleon_without_its_decoder_is_refused(taming_network, entries, tmp_path):
    """As transformers releases it."""
    tensors = chameleon(taming_network, entries)
    encoder = {name: t for name, t in tensors.items() if ".decoder." not in name}
    with pytest.raises(InputError, match=r"json: its tokenizer has no decoder, .*vqgan.ckpt$"):
        import_model(save_shards(tmp_path, encoder))
